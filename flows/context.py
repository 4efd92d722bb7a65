"""Settings turned into the things that tasks use: a store, a registry, local folders."""

import hashlib
import os
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from components.drift import DriftPolicy
from components.drift import load_policy as load_drift_policy
from components.journal import Journal, Logbook
from components.registry import ModelVersion, Registry
from components.settings import Settings, load_settings, settings_store
from components.store import PATIENT, RETRIES, UNREAD_S, Store, sweep
from components.validation import ValidationPolicy, load_policy


def settings() -> Settings:
    """Settings as the environment gives them now."""
    return load_settings()


def store() -> Store:
    """The artifact store of the settings; inside a flow run one that waits a minute for a server that is away."""
    retries = PATIENT if in_flow() else RETRIES  # a person who types a command wants to hear of it at once
    return settings_store(settings(), retries=retries)


def in_flow() -> bool:
    """Whether a flow runs here. Prefect reads its settings when it is imported: this must not be who does it."""
    if "prefect" not in sys.modules:
        return False
    from prefect.runtime import flow_run

    return flow_run.id is not None


def registry() -> Registry:
    """The model registry of the settings."""
    s = settings()
    s.root.mkdir(parents=True, exist_ok=True)
    return Registry(s.mlflow_uri, s.root / "mlflow-artifacts", s.model_name)


def journal() -> Journal:
    """The prediction log of the settings: this machine's spool, and the store."""
    s = settings()
    return Journal(s.spool, Logbook(store()), s.log_days)


def work_folder(name: str) -> Path:
    """A local scratch folder below the home."""
    folder = settings().root / "work" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pretrained_folder(code: str) -> Path:
    """Pretrained backbones that trainings of the same code share; those of other code go after a day."""
    folder = work_folder(f"pretrained/{code}")
    os.utime(folder)
    sweep(folder.parent, "*")
    return folder


def fetch(uri: str) -> Path:
    """A stored folder, by URI or by its path on this machine, as a local, checked one."""
    here = Path(uri).expanduser()
    return store().fetch(str(here.absolute()) if here.is_dir() else uri, settings().cache)


def artifact(version: ModelVersion) -> Path:
    """A registered version's files in a folder that all workers see, copied there once: others may be reading it."""
    folder = work_folder("models")
    target = folder / f"{version.version}-{version.model_sha256[:16]}"
    if not target.exists():
        sweep(folder, "*", UNREAD_S)
        with TemporaryDirectory(dir=folder) as scratch:
            whole = registry().download(version.version, Path(scratch) / "model")
            with suppress(OSError):  # another process was quicker
                whole.rename(target)
    os.utime(target)
    return target


def validation_policy() -> ValidationPolicy:
    """Section `validation` of the settings' policy folder."""
    return load_policy(settings().policy / "validation.yaml")


def drift_policy() -> DriftPolicy:
    """Section `drift` of the settings' policy folder."""
    return load_drift_policy(settings().policy / "drift.yaml")


def promotion_lock() -> Path:
    """Folder of the lock under which versions are moved."""
    return settings().root / "locks"


@lru_cache
def code_version(*rooms: str) -> str:
    """Digest of the source files of some rooms (`components/ingest`, ...): part of every cache key.

    Prefect's own task hash sees the lines of the task alone.
    """
    root = Path(__file__).parents[1]
    files = sorted(file for room in rooms for file in _sources(root / room))
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(root)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _sources(room: Path) -> list[Path]:
    return [room] if room.is_file() else [file for file in room.rglob("*") if file.suffix in (".py", ".html")]


def source_stamp(source: str) -> str:
    """What tells whether a source changed since it was read: names, sizes and times of its files."""
    path = Path(source).expanduser()
    if not path.exists():
        return source
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        stat = file.stat()
        digest.update(f"{file} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
