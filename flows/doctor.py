"""Look at everything the settings name: is it there, does it answer, can it be written, is it of a version we know."""

import os
import platform
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import httpx

from components.errors import FerlineError
from components.gate import load_policy as load_gate_policy
from components.registry import CHAMPION, without_password
from components.registry.ledger import history
from flows.context import drift_policy, journal, registry, settings, store, validation_policy
from flows.site import artifacts

State = Literal["good", "warning", "bad"]
PACKAGES = ("prefect", "mlflow", "torch", "onnxruntime", "bentoml", "evidently", "great-expectations", "pandas")
ROOM_GB = 5.0
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""Somebody waits: MLflow's client, which reads these at each request, else tries a silent server for four minutes."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: State
    found: str
    remedy: str = ""
    """What to do; empty where all is well."""


def examine() -> list[Finding]:
    """Every finding; nothing is changed but for a probe that is removed again."""
    for name, value in IMPATIENT.items():
        os.environ.setdefault(name, value)
    looks = (_python, _home, _policy, _store, _artifacts, _registry, _ledger, _log, _prefect)
    return [finding for look in looks for finding in _careful(look)]


def _careful(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """An error of what is looked at is a finding too."""
    what = look.__name__.removeprefix("_")
    try:
        yield from look()
    except FerlineError as error:
        yield Finding(what, "bad", str(error), f"check the FERLINE_* variables of the {what}: docs/settings.md")
    except (OSError, sqlite3.Error) as error:
        yield Finding(what, "bad", str(error), "make it readable and writable, or name another place")


def _python() -> Iterator[Finding]:
    found, missing = [f"Python {platform.python_version()}"], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    yield Finding("versions", "good", ", ".join(found))
    if missing:
        yield Finding("versions", "warning", f"not installed: {', '.join(missing)}", "`make setup` installs every part")


def _home() -> Iterator[Finding]:
    root = settings().root
    root.mkdir(parents=True, exist_ok=True)
    probe = root / f".{uuid.uuid4().hex}.tmp"
    probe.touch()
    probe.unlink()
    free = shutil.disk_usage(root).free / 1e9
    state: State = "good" if free > ROOM_GB else "warning"
    yield Finding(
        "home", state, f"{root}, {free:.0f} GB free", "" if state == "good" else "make room: docs/operations.md"
    )


def _policy() -> Iterator[Finding]:
    folder = settings().policy
    validation_policy()
    load_gate_policy(folder / "gate.yaml")
    drift_policy()
    yield Finding("policy", "good", f"{folder}: validation, gate and drift are readable")


def _store() -> Iterator[Finding]:
    place, name = store(), f"doctor/{uuid.uuid4().hex}"
    place.put_bytes(name, b"probe")
    whole = place.read_bytes(name) == b"probe"
    place.delete(name)
    if whole:
        yield Finding("store", "good", f"{place.uri} can be read and written")
    else:
        yield Finding("store", "bad", f"{place.uri} gives back other bytes than were written", "look at its server")


def _artifacts() -> Iterator[Finding]:
    place = artifacts()
    yield Finding("artifacts", "good", f"{place.uri}: {len(place.list(''))} objects of MLflow")


def _registry() -> Iterator[Finding]:
    versions = registry().versions()
    champion = next((v for v in versions if CHAMPION in v.aliases), None)
    where = f"{without_password(settings().mlflow_uri)} holds {len(versions)} versions"
    if champion is None:
        yield Finding("registry", "warning", f"{where}, no champion", "`ferline run train-pipeline` trains one")
        return
    with TemporaryDirectory() as scratch:  # no copy of an earlier day: whether it can be fetched is what is asked
        size = (registry().download(champion.version, Path(scratch)) / "model.onnx").stat().st_size
    yield Finding("registry", "good", f"{where}; champion is {champion.version}, {size / 1e6:.1f} MB")


def _ledger() -> Iterator[Finding]:
    entries = history(store(), settings().model_name)
    moves = [entry for entry in entries if entry.moves_champion]
    if not moves:
        yield Finding("ledger", "good", f"{len(entries)} entries, no promotion yet")
        return
    champion = registry().find(CHAMPION)
    said, held = moves[-1].to_version, champion.version if champion else "none"
    if said == held:
        yield Finding("ledger", "good", f"{len(entries)} entries; its champion, {said}, is the registry's")
    else:
        yield Finding("ledger", "bad", f"its champion is {said}, the registry's {held}",
                      "the next promotion makes them agree; or the store is another registry's")  # fmt: skip


def _log() -> Iterator[Finding]:
    waiting, _ = journal().spool.waiting()
    yield Finding("prediction log", "good", f"{waiting} predictions on this machine wait for the store")


def _prefect() -> Iterator[Finding]:
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        yield Finding("Prefect", "good", "PREFECT_API_URL is not set: no server, nothing by schedule")
        return
    user, colon, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
    try:
        with httpx.Client(base_url=url, auth=(user, password) if colon else None, timeout=10) as server:
            pool = server.post("/work_pools/ferline/workers/filter", json={})
            deployed, automated = (
                server.post(f"/{what}/filter", json={}).raise_for_status().json()
                for what in ("deployments", "automations")
            )
    except (httpx.HTTPError, ValueError) as error:
        refused = isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 401
        login = "set PREFECT_API_AUTH_STRING to its login, user:password"
        yield Finding(
            "Prefect", "bad", f"{url}: {error}", login if refused else "start its server, or correct PREFECT_API_URL"
        )
        return
    online = [worker for worker in pool.json() if worker["status"] == "ONLINE"] if pool.status_code == 200 else []
    yield Finding("Prefect", "good", f"{url}: {len(deployed)} deployments, {len(automated)} automations")
    if not online:
        yield Finding(
            "worker", "bad", "no worker of pool ferline is online: nothing runs", "prefect worker start --pool ferline"
        )
    if not deployed or not automated:
        yield Finding("Prefect", "bad", "deployments or automations are missing", "ferline stack setup")
