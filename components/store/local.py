"""A store in a folder of this machine, or of one that it shares."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import StoreError, StoreNotFound
from components.store.folders import INDEX, check, dump, index_of, parse, relative, rename_folder, sweep, under_way


class LocalStore:
    """A folder; written beside and renamed."""

    def __init__(self, root: Path) -> None:
        self.root, self.uri = root, str(root)

    def put_folder(self, local: Path, name: str) -> str:
        target = self.root / relative(name)
        if not self._whole(target):
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            sweep(target.parent, ".*.tmp")
            temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp"
            try:
                shutil.copytree(local, temporary)
                (temporary / INDEX).write_bytes(dump(index_of(temporary)))
                rename_folder(temporary, target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        return str(target)

    def fetch(self, uri: str, cache: Path) -> Path:
        folder = self._path(uri)
        if not (folder / INDEX).is_file():
            raise StoreNotFound(f"nothing complete is stored at {uri}; `ferline where` says where the store lies.")
        check(folder, parse((folder / INDEX).read_bytes()), uri)
        return folder

    def exists(self, uri: str) -> bool:
        path = self._path(uri)
        return path.is_file() or (path / INDEX).is_file()

    def put_bytes(self, name: str, data: bytes) -> str:
        path = self.root / relative(name)
        with self._written_beside(path, data) as temporary:
            os.replace(temporary, path)
        return str(path)

    def read_bytes(self, uri: str) -> bytes:
        try:
            return self._path(uri).read_bytes()
        except (FileNotFoundError, IsADirectoryError) as error:
            raise StoreNotFound(f"no object {uri} in the store {self.uri}.") from error

    def create(self, name: str, data: bytes) -> bool:
        path = self.root / relative(name)
        with self._written_beside(path, data) as temporary:
            try:
                os.link(temporary, path)  # fails where the name is taken, unlike a rename
            except FileExistsError:
                return False
        return True

    def list(self, prefix: str) -> list[str]:
        below = self.root / prefix.rpartition("/")[0]  # not the whole store: a history is read often
        names = (path.relative_to(self.root).as_posix() for path in below.rglob("*") if path.is_file())
        return sorted(name for name in names if name.startswith(prefix) and not under_way(name))

    def stamps(self, prefix: str) -> dict[str, str]:
        found = {name: (self.root / name).stat() for name in self.list(prefix)}
        return {name: f"{stat.st_size} {stat.st_mtime_ns}" for name, stat in found.items()}

    def delete(self, uri: str) -> None:
        path = self.root / relative(uri.removeprefix(f"{self.uri}/"))
        if path.is_dir():
            (path / INDEX).unlink(missing_ok=True)
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
            sweep(path.parent, ".*.tmp")  # of a day's folder retention is the last visitor

    def _path(self, uri: str) -> Path:
        """Where to read: a stored folder may be named by its path wherever it lies."""
        return Path(uri) if Path(uri).is_absolute() else self.root / relative(uri)

    def _whole(self, folder: Path) -> bool:
        """Whether a stored folder is there with its hashes right; a damaged one is made again."""
        try:
            self.fetch(str(folder), folder)
        except StoreError:
            return False
        return True

    @contextmanager
    def _written_beside(self, path: Path, data: bytes) -> Iterator[Path]:
        """A temporary file with the data, on disk; whatever happens, it does not stay."""
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, ".*.tmp")
        temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
