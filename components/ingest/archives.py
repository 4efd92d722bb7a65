"""Unpack a zip or tar into a folder: plain files only, and none outside it."""

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from components.errors import DataError

ZIP_END = 22 + 0xFFFF  # bytes of a zip's end record with the longest comment
SUFFIXES = (".zip", ".tar", ".tgz", ".txz", ".tbz2", ".gz", ".xz", ".bz2")
DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError,
    RuntimeError, NotImplementedError,  # zipfile's words for a password and for an unknown compression
)  # fmt: skip


def is_archive(path: Path) -> bool:
    """By content; a damaged one by its name."""
    if not path.is_file():
        return False
    return path.suffix.casefold() in SUFFIXES or zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def unpack(path: Path, target: Path) -> None:
    """Write the archive's files below `target`. Raises DataError for a damaged archive, a link, or a path outside."""
    members = _zip_members if zipfile.is_zipfile(path) else _tar_members
    target.mkdir(parents=True)
    try:
        for name, stream in members(path):
            place = target / _inside(name)
            place.parent.mkdir(parents=True, exist_ok=True)
            with stream, place.open("wb") as out:
                shutil.copyfileobj(stream, out)
    except DAMAGED as error:
        raise DataError(f"archive {path} cannot be unpacked: {error}. Make or download it again.") from error


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise tarfile.ExtractError(f"member {name!r} leads outside")
    return path


def _zip_members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if stat.S_ISLNK(member.external_attr >> 16):
                raise zipfile.BadZipFile(f"member {member.filename!r} is a link")
            if not member.is_dir():
                yield member.filename, archive.open(member)
        _require_all_members(path, len(archive.infolist()))


def _tar_members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(path) as archive:
        for member in archive:
            if not (member.isreg() or member.isdir()):
                raise tarfile.ExtractError(f"member {member.name!r} is a link or a device")
            stream = archive.extractfile(member) if member.isreg() else None
            if stream:
                yield member.name, stream
        if archive.fileobj:
            _require_end(archive.fileobj.read)


def _require_all_members(path: Path, found: int) -> None:
    """zipfile takes a damaged entry of the directory for its end; the end record knows how many there are."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - ZIP_END))
        record = stream.read().rpartition(b"PK\5\6")[2]
    if int.from_bytes(record[6:8], "little") not in (found, 0xFFFF):  # 0xFFFF: too many for this field
        raise zipfile.BadZipFile("its directory is damaged")


def _require_end(read: Callable[[int], bytes]) -> None:
    """tarfile takes a damaged header for the end; after the real one come zeros, and gzip's checksum."""
    padded = False
    while chunk := read(1 << 20):
        padded = True
        if chunk.strip(b"\0"):
            raise tarfile.ReadError("a header is damaged")
    if not padded:
        raise tarfile.ReadError("it ends too early")
