"""The BentoML service: `bentoml serve serving.service:FaceService`, or `make serve`.

The endpoints are those of `serving/app.py`, put before BentoML's own: a typed image input of BentoML takes either a
form or a raw body, never both, and answers a file that is no image with 500 (1.4.39). The methods below declare them
to BentoML, for its schema and its clients.
"""

import os
import time
from pathlib import Path
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType
from starlette.types import ASGIApp, Receive, Scope, Send

from components.journal import Journal, Logbook
from components.registry.mlflow import Registry
from components.registry.records import CHALLENGER
from components.settings import Settings, load_settings, settings_store
from serving import metrics
from serving.access import Access, Keys
from serving.app import Asked, Desk, Limits, allow_origins
from serving.champion import Champion
from serving.drift import DriftGauges
from serving.faces import FaceMode
from serving.limits import BodyLimit
from serving.record import Recorder
from serving.requests import Colours, Options
from serving.roles import Roles
from serving.traffic import count_known_paths

Picture = Annotated[Path, ContentType("image/*")]
SWAGGER = "/docs"
"""BentoML's interactive pages, whose own place `/` is the page's."""

# Traces are collected nowhere, and BentoML's timer of each request would hold 5 KB of one; `false` brings them back.
os.environ.setdefault("OTEL_SDK_DISABLED", "true")


class Front:
    """ASGI: what the desk routes goes there, the rest to BentoML; nothing passes the keys."""

    def __init__(self, app: ASGIApp) -> None:
        self.bentoml = app
        self._door: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = bentoml.get_current_service() if scope["type"] == "http" else None
        if service is None:
            await self.bentoml(scope, receive, send)
            return
        if self._door is None:
            self._door = service.door(self.bentoml)
        await self._door(scope, receive, send)


@bentoml.service(
    name="ferline",
    workers=load_settings().serve_workers,
    http={"host": "127.0.0.1", "port": 3000},
    traffic={"timeout": load_settings().serve_timeout_seconds + 5},  # ours comes first; its timers stay that long
)
class FaceService:
    """Serves whatever the registry's alias points at; follows it when it moves."""

    def __init__(self) -> None:
        s = load_settings()
        self.settings = s
        journal = _journal(s)
        drift = DriftGauges(journal.logbook.store)
        drift.refresh()

        def tell(waiting: int, oldest_seconds: float) -> None:
            metrics.WAITING.set(waiting)
            metrics.LAG.set(oldest_seconds)
            drift.refresh()

        journal.start(s.log_seconds, tell)
        secret = s.serve_webhook_secret.get_secret_value() if s.serve_webhook_secret else ""
        limits = Limits(s.serve_batch, s.serve_timeout_seconds)
        self.desk = Desk(_roles(s), Recorder(journal, s.log_pixels), limits, secret)

    def door(self, rest: ASGIApp) -> ASGIApp:
        """The way in. rest: answers what is not routed here."""
        s, own = self.settings, BodyLimit(self.desk.app, round(self.settings.serve_body_mb * 1e6))

        async def inside(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == SWAGGER:
                scope = {**scope, "path": "/", "raw_path": b"/"}
                await rest(scope, receive, send)
            else:
                await (own if self.desk.route(scope["path"]) else rest)(scope, receive, send)

        keyed = Access(inside, Keys(s.serve_keys.expanduser())) if s.serve_keys else inside
        return allow_origins(keyed, s.serve_origins)

    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict(self, image: Picture, face: FaceMode = "auto", margin: float = 0.0) -> dict[str, Any]:
        """Class, calibrated probabilities and face box of one picture: field `image`, or the picture as the body."""
        asked = Asked(time.perf_counter(), Options(face=face, margin=margin), self.desk.choose(""))
        return await self.desk.answer(image.read_bytes(), asked)

    @bentoml.api  # type: ignore[untyped-decorator]
    async def explain(self, image: Picture, face: FaceMode = "auto", colours: Colours = "viridis") -> dict[str, Any]:
        """The same with the attention rollout, as numbers and as a PNG over the face."""
        asked = Asked(time.perf_counter(), Options(face=face, colours=colours), self.desk.choose(""))
        documents, _ = await self.desk.explanation(image.read_bytes(), asked)
        return {"answers": documents} if face == "all" else documents[0]


def _roles(s: Settings) -> Roles:
    registry = Registry(s.mlflow_uri, s.root / "mlflow-artifacts", s.model_name)
    champion = Champion(registry, s.root / "serving", s.serve_version, s.serve_poll_seconds)
    champion.start()
    if not (s.serve_canary or s.serve_shadow):
        return Roles(champion, None, 0.0, False)
    challenger = Champion(registry, s.root / "serving", CHALLENGER, s.serve_poll_seconds, optional=True)
    challenger.start()
    return Roles(champion, challenger, s.serve_canary, s.serve_shadow)


def _journal(s: Settings) -> Journal:
    return Journal(s.spool, Logbook(settings_store(s)), s.log_days)


count_known_paths()
FaceService.add_asgi_middleware(Front)  # type: ignore[attr-defined]  # the decorator made a Service of it
