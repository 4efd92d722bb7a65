"""A site in one folder, and a site again from it: databases, objects of the stores, folders.

    backup.json                  what is in it, with hashes; written last: without it the folder is no backup
    databases/<name>.sqlite      or <name>.dump, pg_dump's custom format
    stores/<name>/<object>       every object under its own name
    folders/<name>/<file>

Databases come first: what they name in the stores was there before. What has come since is in the stores alone, and a
promotion between the two is carried over by the ledger, which the aliases follow.
"""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from components import __version__
from components.dataset import file_sha256
from components.errors import BackupError, StoreNotFound
from components.store import S3Store, Store

MANIFEST, SCHEMA_VERSION = "backup.json", 1

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Site:
    """What a site consists of, by name."""

    databases: Mapping[str, str] = field(default_factory=dict)
    """SQLAlchemy URL: sqlite:///path or postgresql[+driver]://user:password@host:port/name."""
    stores: Mapping[str, Store] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    bound_to: str = ""
    """Folder that records of the databases name by its path: a backup comes back to the same one."""


def backup(site: Site, folder: Path, tell: Tell) -> None:
    """Write a site into a new or empty folder. Raises BackupError; StoreError passes through."""
    if folder.exists() and any(folder.iterdir()):
        raise BackupError(f"{folder} is not empty: name a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for name, url in site.databases.items():
        tell(f"database {name}" if _dump(url, folder / "databases" / name) else f"database {name}: there is none")
    for name, store in site.stores.items():
        keys = store.list("")
        for key in keys:
            with suppress(StoreNotFound):  # removed since, by retention or a person
                _write(folder / "stores" / name / key, store.read_bytes(key))
        tell(f"store {name}: {len(keys)} objects")
    for name, source in site.folders.items():
        if source.is_dir():
            shutil.copytree(source, folder / "folders" / name)
            tell(f"folder {name}")
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "ferline": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "bound_to": site.bound_to,
        "files": {path.relative_to(folder).as_posix(): file_sha256(path) for path in _files(folder)},
    }
    temporary = folder / f"{MANIFEST}.tmp"
    temporary.write_text(json.dumps(manifest, indent=1))
    temporary.rename(folder / MANIFEST)
    tell(f"{len(manifest['files'])} files, checked by their hashes when they are restored")  # type: ignore[arg-type]


def restore(site: Site, folder: Path, tell: Tell, force: bool = False) -> None:
    """Bring a backup back into a site. Everything is checked before the first thing is written.

    Raises BackupError where the backup is not whole, or where the site holds something and `force` is not given: then
    databases are replaced, objects and files of the same name too, and others stay.
    """
    bound_to = _check(folder)
    if bound_to != site.bound_to:
        raise BackupError(f"{folder} {_where_it_belongs(bound_to, site.bound_to)}")
    for store in site.stores.values():
        if isinstance(store, S3Store):  # a new server has no bucket
            store.make_bucket(store.bucket)
    held = [f"database {name}" for name, url in site.databases.items() if _source(url, folder / "databases" / name)
            and _holds(url)]  # fmt: skip
    held += [f"store {name}" for name, store in site.stores.items() if store.list("")]
    held += [f"folder {name}" for name, path in site.folders.items() if path.is_dir() and any(path.iterdir())]
    if held and not force:
        raise BackupError(f"this site is not empty ({', '.join(held)}): --force replaces what has the same name.")
    for name, url in site.databases.items():
        tell(f"database {name}" if _load(url, folder / "databases" / name) else f"database {name}: none in the backup")
    for name, store in site.stores.items():
        below = folder / "stores" / name
        paths = _indices_last(_files(below))
        for path in paths:
            store.put_bytes(path.relative_to(below).as_posix(), path.read_bytes())
        tell(f"store {name}: {len(paths)} objects")
    for name, target in site.folders.items():
        if (folder / "folders" / name).is_dir():
            shutil.copytree(folder / "folders" / name, target, dirs_exist_ok=True)
            tell(f"folder {name}")


def _where_it_belongs(bound_to: str, here: str) -> str:
    """What to set for a backup of another kind of site, or of another folder."""
    if not bound_to:
        return (
            "is of a site whose MLflow server keeps its artifacts on an S3 server: restore it with "
            "MLFLOW_ARTIFACTS_DESTINATION (such as s3://mlflow), MLFLOW_BACKEND_STORE_URI and FERLINE_S3_ENDPOINT with "
            "its keys set to this site's; in docker-compose.yml `operations` has them."
        )
    unset = "" if here else ", and without MLFLOW_ARTIFACTS_DESTINATION"
    return f"names files below {bound_to}: restore it with FERLINE_HOME set to that{unset}."


def _check(folder: Path) -> str:
    """What it is bound to; raises BackupError unless every file of the manifest is there with its hash."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        version, files, bound_to = manifest["schema_version"], manifest["files"], str(manifest["bound_to"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{folder} is no finished backup: it has no readable {MANIFEST}.") from error
    if version != SCHEMA_VERSION:
        raise BackupError(f"{folder} has schema_version {version!r}; this ferline reads {SCHEMA_VERSION}.")
    bad = [name for name, sha256 in files.items() if not _is(folder / name, sha256)]
    if bad:
        raise BackupError(f"{folder} is damaged, and nothing was written: {', '.join(bad[:5])}.")
    return bound_to


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


def _dump(url: str, base: Path) -> bool:
    """Whether there was a database."""
    base.parent.mkdir(parents=True, exist_ok=True)
    if url.startswith("sqlite"):
        source = _sqlite_file(url)
        if not source.exists():
            return False
        with closing(sqlite3.connect(source)) as ours, closing(sqlite3.connect(base.with_suffix(".sqlite"))) as copy:
            ours.backup(copy)  # one moment of it, also while others write
        return True
    _postgres("pg_dump", url, ["--format=custom", f"--file={base.with_suffix('.dump')}"])
    return True


def _load(url: str, base: Path) -> bool:
    """Whether the backup has the database."""
    source = _source(url, base)
    if source is None:
        return False
    if not url.startswith("sqlite"):
        _postgres("pg_restore", url, ["--clean", "--if-exists", "--no-owner", "--single-transaction", str(source)])
        return True
    target = _sqlite_file(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(source)) as copy, closing(sqlite3.connect(target)) as ours:
        copy.backup(ours)
    return True


def _source(url: str, base: Path) -> Path | None:
    """A database's file in the backup; raises BackupError where it is of another kind, or cannot be brought back."""
    suffix, other = (".sqlite", ".dump") if url.startswith("sqlite") else (".dump", ".sqlite")
    if base.with_suffix(other).exists():
        raise BackupError(f"the backup has {base.name}{other}, and here that database is of the other kind.")
    if not base.with_suffix(suffix).exists():
        return None
    if suffix == ".dump":
        _program("pg_restore")
    return base.with_suffix(suffix)


def _holds(url: str) -> bool:
    """Whether a database has tables; of SQLite, with something in them."""
    if not url.startswith("sqlite"):
        count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        return _postgres("psql", url, ["--tuples-only", f"--command={count}"]).strip() != "0"
    if not _sqlite_file(url).exists():
        return False
    with closing(sqlite3.connect(_sqlite_file(url))) as ours:
        tables = [name for (name,) in ours.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return any(ours.execute(f'SELECT EXISTS (SELECT 1 FROM "{name}")').fetchone()[0] for name in tables)


def _program(name: str) -> None:
    if not shutil.which(name):
        raise BackupError(f"{name} is not installed: it comes with PostgreSQL's client.")


def _postgres(program: str, url: str, options: list[str]) -> str:
    """What a client program of PostgreSQL prints; the password goes by the environment, not by the command line."""
    _program(program)
    parts = urlsplit(url)
    login = {
        "PGHOST": parts.hostname or "", "PGPORT": str(parts.port or 5432), "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
    }  # fmt: skip
    done = subprocess.run(
        [program, f"--dbname={parts.path.lstrip('/')}", *options], env={**os.environ, **login}, capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode:
        raise BackupError(f"{program} of {parts.path.lstrip('/')} at {parts.hostname}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _sqlite_file(url: str) -> Path:
    return Path(url.split("///", 1)[1])


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _indices_last(files: Iterable[Path]) -> list[Path]:
    """A stored folder counts once its index is there."""
    return sorted(files, key=lambda path: path.name == "_index.json")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
