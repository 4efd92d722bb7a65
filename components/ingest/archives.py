"""Unpack a zip or tar into a folder, with members checked before anything is written."""

import shutil
import tarfile
import zipfile
from pathlib import Path

from components.errors import DataError


def is_archive(path: Path) -> bool:
    """By content, not by name."""
    return path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))


def unpack(path: Path, target: Path) -> None:
    """Write the archive's files below `target`; raises DataError for a damaged archive or a member outside it."""
    try:
        if zipfile.is_zipfile(path):
            _unzip(path, target)
        else:
            with tarfile.open(path) as archive:
                archive.extractall(target, filter="data")  # refuses links and paths that lead outside
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise DataError(f"archive {path} cannot be unpacked: {error}. Download it again.") from error


def _unzip(path: Path, target: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        outside = [n for n in archive.namelist() if n.startswith(("/", "\\")) or ".." in Path(n).parts]
        if outside:
            raise zipfile.BadZipFile(f"member {outside[0]!r} leads outside")
        archive.extractall(target)
