"""Where artifacts live: a local folder, or a bucket of any S3 server. The one door to minio.

A stored folder is immutable and trusted only when its index is there, and the index is written last:
`_index.json` holds the sha256 and size of every file. Reads check the hashes.
"""

import hashlib
import io
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from components.dataset import file_sha256
from components.errors import StoreError, StoreNotFound, StoreUnreachable

INDEX = "_index.json"
PART_SIZE = 16 * 1024 * 1024
"""Files above it go up in parts."""
RETRIES, PATIENT = 3, 9
"""How often a request is sent again: for a person who waits, and for work that runs by itself."""
UNDER_WAY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp|\.tmp\.[0-9a-f-]+")
ABANDONED_S = 24 * 3600
"""Age after which a temporary file or folder can only be a killed writer's."""


class Store(Protocol):
    """Folders and small objects by name; a URI is the store's own followed by the name."""

    uri: str

    def put_folder(self, local: Path, name: str) -> str:
        """Store a folder under a name; a complete one of that name is kept. Returns its URI."""

    def fetch(self, uri: str, cache: Path) -> Path:
        """A local folder with the stored files, hashes checked. Raises StoreNotFound, StoreError."""

    def exists(self, uri: str) -> bool:
        """Whether a complete folder, or an object, of that URI or name is there."""

    def put_bytes(self, name: str, data: bytes) -> str:
        """Write one object, replacing what was there, atomically. Returns its URI."""

    def read_bytes(self, uri: str) -> bytes:
        """One object by URI or name. Raises StoreNotFound."""

    def create(self, name: str, data: bytes) -> bool:
        """Write one object unless the name is taken; False if it was."""

    def list(self, prefix: str) -> list[str]:
        """Names of the objects below a prefix, sorted; without those of writes under way."""

    def stamps(self, prefix: str) -> dict[str, str]:
        """The same names, each with what is another where its content is."""

    def delete(self, uri: str) -> None:
        """Remove a folder or an object; what is not there is no error."""


@dataclass(frozen=True)
class Entry:
    """One file of a stored folder."""

    sha256: str
    size: int


def open_store(
    uri: str,
    *,
    endpoint: str = "",
    access_key: str = "",
    secret_key: str = "",
    region: str = "us-east-1",
    retries: int = RETRIES,
) -> Store:
    """A folder path, or s3://bucket/prefix with the server's endpoint and credentials.

    retries: how often a request is sent again to a server that does not answer; 3 take 1 second, 9 take a minute.
    """
    if "://" in uri and not uri.startswith("s3://"):
        raise StoreError(f"store {uri!r} is of no kind that is known: name a folder, or s3://bucket/prefix.")
    if not uri.startswith("s3://"):
        return LocalStore(Path(uri).expanduser().absolute())
    if not (endpoint and access_key and secret_key):
        raise StoreError(
            f"store {uri} needs FERLINE_S3_ENDPOINT, FERLINE_S3_ACCESS_KEY and FERLINE_S3_SECRET_KEY; one is empty."
        )
    return S3Store(uri, endpoint, access_key, secret_key, region, retries)


def _index_of(folder: Path) -> dict[str, Entry]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != INDEX)
    return {path.relative_to(folder).as_posix(): Entry(file_sha256(path), path.stat().st_size) for path in files}


def _dump(index: dict[str, Entry]) -> bytes:
    return json.dumps({name: vars(entry) for name, entry in index.items()}, indent=1, sort_keys=True).encode()


def _parse(data: bytes) -> dict[str, Entry]:
    return {name: Entry(**entry) for name, entry in json.loads(data).items()}


def _check(folder: Path, index: dict[str, Entry], uri: str) -> None:
    for name, entry in index.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != entry.size or file_sha256(path) != entry.sha256:
            raise StoreError(f"{uri}: {name} is damaged or missing; delete {uri} and make it again.")


def sweep(folder: Path, pattern: str) -> None:
    """Remove what killed writers left in a folder: entries of that pattern older than a day."""
    for path in folder.glob(pattern):
        with suppress(OSError):  # another process may be sweeping
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _relative(name: str) -> str:
    if not name or name.startswith(("/", "s3://")) or ".." in Path(name).parts:
        raise StoreError(
            f"{name!r} is no name inside this store: use one of its own URIs, or a relative one without '..'."
        )
    return name


class LocalStore:
    """A folder; written beside and renamed."""

    def __init__(self, root: Path) -> None:
        self.root, self.uri = root, str(root)

    def put_folder(self, local: Path, name: str) -> str:
        target = self.root / _relative(name)
        if not self._whole(target):
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            sweep(target.parent, ".*.tmp")
            temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp"
            shutil.copytree(local, temporary)
            (temporary / INDEX).write_bytes(_dump(_index_of(temporary)))
            _rename_folder(temporary, target)
        return str(target)

    def fetch(self, uri: str, cache: Path) -> Path:
        folder = self._path(uri)
        if not (folder / INDEX).is_file():
            raise StoreNotFound(f"nothing complete is stored at {uri}; `ferline where` says where the store lies.")
        _check(folder, _parse((folder / INDEX).read_bytes()), uri)
        return folder

    def exists(self, uri: str) -> bool:
        path = self._path(uri)
        return path.is_file() or (path / INDEX).is_file()

    def put_bytes(self, name: str, data: bytes) -> str:
        path = self.root / _relative(name)
        temporary = self._write_beside(path, data)
        os.replace(temporary, path)
        return str(path)

    def read_bytes(self, uri: str) -> bytes:
        try:
            return self._path(uri).read_bytes()
        except (FileNotFoundError, IsADirectoryError) as error:
            raise StoreNotFound(f"no object {uri} in the store {self.uri}.") from error

    def create(self, name: str, data: bytes) -> bool:
        path = self.root / _relative(name)
        temporary = self._write_beside(path, data)
        try:
            os.link(temporary, path)  # fails where the name is taken, unlike a rename
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        return True

    def list(self, prefix: str) -> list[str]:
        below = self.root / prefix.rpartition("/")[0]  # not the whole store: a history is read often
        names = (path.relative_to(self.root).as_posix() for path in below.rglob("*") if path.is_file())
        return sorted(name for name in names if name.startswith(prefix) and not _under_way(name))

    def stamps(self, prefix: str) -> dict[str, str]:
        found = {name: (self.root / name).stat() for name in self.list(prefix)}
        return {name: f"{stat.st_size} {stat.st_mtime_ns}" for name, stat in found.items()}

    def delete(self, uri: str) -> None:
        path = self.root / _relative(uri.removeprefix(f"{self.uri}/"))
        if path.is_dir():
            (path / INDEX).unlink(missing_ok=True)
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def _path(self, uri: str) -> Path:
        """Where to read: a stored folder may be named by its path wherever it lies."""
        return Path(uri) if Path(uri).is_absolute() else self.root / _relative(uri)

    def _whole(self, folder: Path) -> bool:
        """Whether a stored folder is there with its hashes right; a damaged one is made again."""
        try:
            self.fetch(str(folder), folder)
        except StoreError:
            return False
        return True

    def _write_beside(self, path: Path, data: bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        return temporary


def _under_way(name: str) -> bool:
    """Whether a name is that of a write that has not ended: a local store's, or a server's that lists its own."""
    return any(UNDER_WAY.fullmatch(part) for part in name.split("/"))


def _rename_folder(temporary: Path, target: Path) -> None:
    """Publish a finished folder; another process may have published the same one meanwhile."""
    try:
        temporary.rename(target)
    except OSError:
        if not (target / INDEX).is_file():
            raise
        shutil.rmtree(temporary)


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
        target = f"{self.uri}/{_relative(name)}"
        if not self.exists(target):
            index = _index_of(local)
            with self._errors(target):
                for file in index:
                    key, path = self._key(f"{name}/{file}"), str(local / file)
                    self.client.fput_object(self.bucket, key, path, part_size=PART_SIZE)
            self.put_bytes(f"{name}/{INDEX}", _dump(index))
        return target

    def fetch(self, uri: str, cache: Path) -> Path:
        digest = hashlib.sha256(f"{self.endpoint} {self.bucket} {self._key(uri)}".encode()).hexdigest()[:16]
        folder = cache / digest
        if (folder / INDEX).is_file():
            with suppress(StoreError):  # a damaged copy is fetched again
                _check(folder, _parse((folder / INDEX).read_bytes()), uri)
                if not self._is_gone(uri):  # what was deleted, a person's picture perhaps, is not served from a copy
                    return folder
            shutil.rmtree(folder)
        sweep(cache, ".*.tmp")
        temporary = cache / f".{digest}.{uuid.uuid4().hex}.tmp"
        try:
            self._download(uri.rstrip("/"), temporary)
            _rename_folder(temporary, folder)
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
        index = _parse(data)
        folder.mkdir(parents=True)
        with self._errors(uri):
            for file in index:
                self.client.fget_object(self.bucket, self._key(f"{uri}/{file}"), str(folder / _relative(file)))
        _check(folder, index, uri)
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
        return {name[start:]: found[name] for name in sorted(found) if not _under_way(name[start:])}

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
        return _relative(uri.removeprefix(f"{self.uri}/").rstrip("/"))

    def _stat(self, uri: str) -> bool:
        try:
            with self._errors(uri):
                self.client.stat_object(self.bucket, self._key(uri))
        except StoreNotFound:
            return False
        return True

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """minio's and urllib3's errors as ours, each with what to do."""
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
            raise StoreUnreachable(
                f"{where}: the server does not answer ({type(error).__name__}); check the endpoint."
            ) from error
