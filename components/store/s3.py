"""A store in a bucket of any S3 server: the one door to minio."""

import errno
import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from components.errors import StoreError, StoreNotFound, StoreUnreachable
from components.store.folders import (
    INDEX,
    UNREAD_S,
    check,
    dump,
    index_of,
    parse,
    relative,
    rename_folder,
    sweep,
    under_way,
)
from components.store.protocol import RETRIES

PART_SIZE = 16 * 1024 * 1024
"""Files above it go up in parts."""
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ENOENT)
"""What this machine's own disk says, never a connection."""


class S3Store:
    """A prefix of a bucket; one PUT an object, the index last."""

    def __init__(
        self, uri: str, endpoint: str, access_key: str, secret_key: str, region: str, retries: int = RETRIES
    ) -> None:
        import urllib3
        from minio import Minio

        self.uri = uri.rstrip("/")
        parts = urlsplit(self.uri)
        self.bucket, self.prefix = parts.netloc, parts.path.strip("/")
        address = urlsplit(endpoint if "//" in endpoint else f"http://{endpoint}")
        again = urllib3.Retry(total=retries, backoff_factor=0.3, backoff_max=15, status_forcelist=[500, 502, 503, 504])
        self.endpoint = endpoint
        self.http = urllib3.PoolManager(timeout=urllib3.Timeout(connect=3, read=60), retries=again)
        self.client = Minio(
            address.netloc,
            access_key=access_key,
            secret_key=secret_key,
            secure=address.scheme == "https",
            region=region,
            http_client=self.http,
        )

    def make_bucket(self, name: str) -> bool:
        """Make a bucket of this server unless it is there; whether it was made."""
        with self._errors(f"bucket {name}"):
            if self.client.bucket_exists(name):
                return False
            self.client.make_bucket(name)
        return True

    def put_folder(self, local: Path, name: str) -> str:
        target = f"{self.uri}/{relative(name)}"
        if not self.exists(target):
            index = index_of(local)
            with self._errors(target, local):
                for file in index:
                    key, path = self._key(f"{name}/{file}"), str(local / file)
                    self.client.fput_object(self.bucket, key, path, part_size=PART_SIZE)
            self.put_bytes(f"{name}/{INDEX}", dump(index))
        return target

    def fetch(self, uri: str, cache: Path) -> Path:
        digest = hashlib.sha256(f"{self.endpoint} {self.bucket} {self._key(uri)}".encode()).hexdigest()[:16]
        folder = cache / digest
        if (folder / INDEX).is_file():
            with suppress(StoreError):  # a damaged copy is fetched again
                check(folder, parse((folder / INDEX).read_bytes()), uri)
                if not self._is_gone(uri):  # what was deleted, a person's picture perhaps, is not served from a copy
                    os.utime(folder)
                    return folder
            shutil.rmtree(folder)
        sweep(cache, ".*.tmp")
        sweep(cache, "*", UNREAD_S)
        temporary = cache / f".{digest}.{uuid.uuid4().hex}.tmp"
        try:
            self._download(uri.rstrip("/"), temporary)
            rename_folder(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return folder

    def _is_gone(self, uri: str) -> bool:
        """Whether the server answers that it is not there; one that is away says nothing."""
        with suppress(StoreUnreachable):
            return not self._stat(f"{uri.rstrip('/')}/{INDEX}")
        return False

    def _download(self, uri: str, folder: Path) -> None:
        data = self.read_bytes(f"{uri}/{INDEX}")
        index = parse(data)
        with self._errors(uri, folder):
            folder.mkdir(parents=True)
            for file in index:
                self.client.fget_object(self.bucket, self._key(f"{uri}/{file}"), str(folder / relative(file)))
            check(folder, index, uri)
            (folder / INDEX).write_bytes(data)

    def exists(self, uri: str) -> bool:
        return self._stat(f"{uri.rstrip('/')}/{INDEX}") or self._stat(uri)

    def put_bytes(self, name: str, data: bytes) -> str:
        with self._errors(name):
            self.client.put_object(self.bucket, self._key(name), io.BytesIO(data), len(data))
        return f"{self.uri}/{name}"

    def read_bytes(self, uri: str) -> bytes:
        with self._errors(uri):
            response = self.client.get_object(self.bucket, self._key(uri))
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()

    def create(self, name: str, data: bytes) -> bool:
        """A conditional PUT; on a server that ignores If-None-Match two writers within one round trip both pass."""
        if self._stat(name):
            return False
        with self._errors(name):
            # minio 7.2 offers no conditional header; a presigned address takes one. No retries: a second try
            # would find the name taken by the first.
            address = self.client.presigned_put_object(self.bucket, self._key(name))
            answer = self.http.request("PUT", address, body=data, headers={"If-None-Match": "*"}, retries=False)
        if answer.status in (409, 412):
            return False
        if answer.status >= 300:
            raise StoreError(f"{name} on {self.endpoint}: the server answered {answer.status} to a conditional PUT.")
        return True

    def list(self, prefix: str) -> list[str]:
        return list(self.stamps(prefix))

    def stamps(self, prefix: str) -> dict[str, str]:
        with self._errors(prefix):
            below = f"{self.prefix}/{prefix}" if self.prefix else prefix
            items = self.client.list_objects(self.bucket, below, recursive=True)
            found = {item.object_name or "": item.etag or "" for item in items}
        start = len(self.prefix) + 1 if self.prefix else 0
        return {name[start:]: found[name] for name in sorted(found) if not under_way(name[start:])}

    def delete(self, uri: str) -> None:
        name = self._name(uri)
        below = self.list(f"{name}/")
        with self._errors(uri):
            for each in sorted(below, key=lambda each: each != f"{name}/{INDEX}") or [name]:  # the index first
                self.client.remove_object(self.bucket, self._key(each))

    def _key(self, uri: str) -> str:
        name = self._name(uri)
        return f"{self.prefix}/{name}" if self.prefix else name

    def _name(self, uri: str) -> str:
        return relative(uri.removeprefix(f"{self.uri}/").rstrip("/"))

    def _stat(self, uri: str) -> bool:
        try:
            with self._errors(uri):
                self.client.stat_object(self.bucket, self._key(uri))
        except StoreNotFound:
            return False
        return True

    @contextmanager
    def _errors(self, what: str, local: Path | None = None) -> Iterator[None]:
        """minio's and urllib3's errors as ours, each with what to do. local: what is read or written here."""
        from minio.error import MinioException, S3Error
        from urllib3.exceptions import HTTPError

        where = f"{what} on {self.endpoint}"
        try:
            yield
        except S3Error as error:
            if error.code in ("NoSuchKey", "NoSuchObject"):
                raise StoreNotFound(f"no object {where}.") from error
            if error.code == "NoSuchBucket":
                raise StoreUnreachable(
                    f"{where}: bucket {self.bucket!r} does not exist; make it or name another."
                ) from error
            if error.code in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
                raise StoreUnreachable(
                    f"{where}: the server refuses the credentials ({error.code}); "
                    "check FERLINE_S3_ACCESS_KEY and FERLINE_S3_SECRET_KEY."
                ) from error
            raise StoreError(f"{where}: {error.code}: {error.message}") from error
        except (HTTPError, MinioException, OSError) as error:
            if local and isinstance(error, OSError) and error.errno in DISK:
                raise StoreError(
                    f"{what}: this machine's disk, not the server, says {error.strerror!r} at "
                    f"{error.filename or local}; make room there, or let this user read and write it."
                ) from error
            raise StoreUnreachable(
                f"{where}: the server does not answer ({type(error).__name__}); check the endpoint."
            ) from error
