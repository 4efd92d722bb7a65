"""Stored folders: the index that is written last, names, and what killed writers leave."""

import json
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from components.dataset import file_sha256
from components.errors import StoreError

INDEX = "_index.json"
UNDER_WAY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp|\.tmp\.[0-9a-f-]+")
ABANDONED_S = 24 * 3600
"""Age after which a temporary file or folder can only be a killed writer's."""
UNREAD_S = 14 * 24 * 3600
"""Age after which a local copy goes that nobody has asked for. A training may read one for seven days."""


@dataclass(frozen=True)
class Entry:
    """One file of a stored folder."""

    sha256: str
    size: int


def index_of(folder: Path) -> dict[str, Entry]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != INDEX)
    return {path.relative_to(folder).as_posix(): Entry(file_sha256(path), path.stat().st_size) for path in files}


def dump(index: dict[str, Entry]) -> bytes:
    return json.dumps({name: vars(entry) for name, entry in index.items()}, indent=1, sort_keys=True).encode()


def parse(data: bytes) -> dict[str, Entry]:
    return {name: Entry(**entry) for name, entry in json.loads(data).items()}


def check(folder: Path, index: dict[str, Entry], uri: str) -> None:
    for name, entry in index.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != entry.size or file_sha256(path) != entry.sha256:
            raise StoreError(f"{uri}: {name} is damaged or missing; delete {uri} and make it again.")


def sweep(folder: Path, pattern: str, age_s: float = ABANDONED_S) -> None:
    """Remove what killed writers left in a folder: entries of that pattern older than a day, or than `age_s`."""
    for path in folder.glob(pattern):
        with suppress(OSError):  # another process may be sweeping
            if time.time() - path.stat().st_mtime > age_s:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def relative(name: str) -> str:
    if not name or name.startswith(("/", "s3://")) or ".." in Path(name).parts:
        raise StoreError(
            f"{name!r} is no name inside this store: use one of its own URIs, or a relative one without '..'."
        )
    return name


def under_way(name: str) -> bool:
    """Whether a name is that of a write that has not ended: a local store's, or a server's that lists its own."""
    return any(UNDER_WAY.fullmatch(part) for part in name.split("/"))


def rename_folder(temporary: Path, target: Path) -> None:
    """Publish a finished folder; another process may have published the same one meanwhile."""
    try:
        temporary.rename(target)
    except OSError:
        if not (target / INDEX).is_file():
            raise
        shutil.rmtree(temporary)
