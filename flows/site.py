"""The site that the settings name: what is backed up, what is upgraded, and what a doctor looks at."""

import os
import subprocess
import sys
from pathlib import Path

from components.backup import Site
from components.errors import SettingsError
from components.registry import upgrade_database
from components.settings import settings_store
from components.store import LocalStore, Store
from flows.context import settings, store

PREFECT_DATABASE, MLFLOW_DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL", "MLFLOW_BACKEND_STORE_URI"
MLFLOW_ARTIFACTS, RESULTS = "MLFLOW_ARTIFACTS_DESTINATION", "PREFECT_RESULTS_LOCAL_STORAGE_PATH"


def databases() -> dict[str, str]:
    """Name -> URL: the servers' own variables, or the SQLite files below the home."""
    root = settings().root
    tracking = settings().mlflow_uri
    embedded = tracking if tracking.startswith(("sqlite", "postgresql")) else f"sqlite:///{root / 'mlflow.db'}"
    prefect = os.environ.get(PREFECT_DATABASE) or f"sqlite:///{root / 'prefect' / 'prefect.db'}"
    return {"mlflow": os.environ.get(MLFLOW_DATABASE) or embedded, "prefect": prefect}


def artifacts() -> Store:
    """Where MLflow's server keeps its artifacts."""
    s = settings()
    place = os.environ.get(MLFLOW_ARTIFACTS) or str(s.root / "mlflow-artifacts")
    return settings_store(s, place)


def site(prefect: bool = True) -> Site:
    """All of it; without Prefect's history on demand."""
    kept = artifacts()
    found = {name: url for name, url in databases().items() if prefect or name != "prefect"}
    found["spool"] = f"sqlite:///{settings().spool / 'spool.db'}"
    # Without a server of its own MLflow names artifacts by their path on this machine.
    home = str(settings().root) if isinstance(kept, LocalStore) else ""
    folders, ours = {"evidently": settings().workspace}, store()
    if not isinstance(ours, LocalStore):  # whose own folder has them else
        folders["results"] = Path(os.environ.get(RESULTS, settings().root / "store" / "results"))
    return Site(found, {"ferline": ours, "mlflow": kept}, folders, home)


def upgrade_databases() -> list[str]:
    """Bring the databases of Prefect and MLflow to the tables of the installed versions; their names."""
    bin, found = Path(sys.executable).parent, databases()
    upgrade_database(found["mlflow"])
    _run([str(bin / "prefect"), "server", "database", "upgrade", "--yes"], {PREFECT_DATABASE: _async(found["prefect"])})
    return list(found)


def _async(url: str) -> str:
    """Prefect's server takes asynchronous drivers alone."""
    scheme, _, rest = url.partition("://")
    return f"{ {'sqlite': 'sqlite+aiosqlite', 'postgresql': 'postgresql+asyncpg'}.get(scheme, scheme) }://{rest}"


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        raise SettingsError(f"{' '.join(command)}: {(done.stdout + done.stderr).strip()[-1000:]}")
