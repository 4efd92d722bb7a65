"""API keys: kept as hashes in a file, compared in constant time, each with its own rate.

A key is 256 random bits, so that one round of SHA-256 is enough to keep it. Without a file nobody needs a key.
"""

import hashlib
import hmac
import json
import logging
import math
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from components.errors import FerlineError, RequestError
from serving.documents import error_response

OPEN = frozenset({"/", "/livez", "/readyz", "/healthz", "/hooks/mlflow"})
"""Probes; the page itself, which holds nothing and asks for a key; and MLflow's webhook, which is signed."""


log = logging.getLogger("ferline.serving")


class KeyFileError(FerlineError):
    """The file of API keys cannot be read, or does not hold what it should."""


@dataclass(frozen=True)
class Key:
    """Who may ask, and how often."""

    name: str
    sha256: str
    """Of the key, hex."""
    per_minute: int
    """Most requests in any 60 seconds, for each worker process."""


class Keys:
    """The keys of a file, read again when it changes."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._read_at = -1
        self._keys: list[Key] = []
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def admit(self, token: str) -> str:
        """The name of the key's owner. Raises RequestError: 401 without a key that is known, 429 over its rate."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        found = [key for key in self.all() if hmac.compare_digest(key.sha256, digest)]
        if not found:
            raise RequestError(
                401, "a key is needed: send `Authorization: Bearer KEY`. Who runs the service makes one with "
                "`ferline keys add NAME`.",
            )  # fmt: skip
        rate = RateLimitItemPerMinute(found[0].per_minute)
        if not self._limiter.hit(rate, found[0].name):
            again = self._limiter.get_window_stats(rate, found[0].name).reset_time - time.time()
            raise RequestError(
                429, f"key {found[0].name!r} may ask {found[0].per_minute} times a minute.",
                retry_after=max(1, math.ceil(again)),
            )  # fmt: skip
        return found[0].name

    def all(self) -> list[Key]:
        """All keys; raises KeyFileError."""
        try:
            changed = self.file.stat().st_mtime_ns
            if changed != self._read_at:
                self._keys = [Key(**raw) for raw in json.loads(self.file.read_text())]
                self._read_at = changed
        except (OSError, ValueError, TypeError) as error:
            raise KeyFileError(f"{self.file}: {error}. `ferline keys add NAME` makes the file.") from error
        return self._keys

    def add(self, name: str, per_minute: int) -> str:
        """Make a key, which is told this once and kept nowhere. Raises KeyFileError where the name is taken."""
        token = secrets.token_urlsafe(32)
        with self._lock():
            known = self.all() if self.file.exists() else []
            if any(key.name == name for key in known):
                raise KeyFileError(f"{self.file} has a key {name!r} already; remove it first, or take another name.")
            self._write([*known, Key(name, hashlib.sha256(token.encode()).hexdigest(), per_minute)])
        return token

    def remove(self, name: str) -> None:
        """Take a key back; running services refuse it from then on. Raises KeyFileError for an unknown name."""
        with self._lock():
            known = self.all()
            if all(key.name != name for key in known):
                names = ", ".join(key.name for key in known) or "none"
                raise KeyFileError(f"{self.file} has no key {name!r}; it has {names}.")
            self._write([key for key in known if key.name != name])

    def _lock(self) -> FileLock:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(f"{self.file}.lock")

    def _write(self, keys: list[Key]) -> None:
        scratch = self.file.with_name(f".{self.file.name}.new")
        scratch.touch(mode=0o600)
        scratch.write_text(json.dumps([asdict(key) for key in keys], indent=1))
        scratch.replace(self.file)


class Access:
    """ASGI: nobody passes without a key but to what is open."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self.app, self.keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in OPEN:
            try:
                scope["ferline.key"] = self.keys.admit(bearer(dict(scope["headers"])))
            except RequestError as error:
                await error_response(error)(scope, receive, send)
                return
            except KeyFileError as error:
                log.error("%s", error)
                refusal = RequestError(503, "the service's keys cannot be read; its log says why.")
                await error_response(refusal)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def bearer(headers: dict[bytes, bytes]) -> str:
    """The key of a request, from `Authorization: Bearer` or `X-API-Key`."""
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", b"").decode("latin-1")
