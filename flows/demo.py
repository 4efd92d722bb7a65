"""A dashboard that tells a story, from simulated traffic: `ferline drift demo`. Everything lies below `<home>/demo`."""

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from components.errors import ModelNotFound
from components.ingest.records import Report
from components.journal import Logbook
from components.registry import CHAMPION
from components.settings import Settings
from flows.context import artifact, registry, settings, store
from flows.local import run_monitor
from flows.parameters import WindowParameters
from flows.simulate import days, midnight, simulate


@dataclass(frozen=True)
class DemoDay:
    """What the monitor said to one day."""

    day: str
    shift: float
    sight: str
    checks: tuple[str, ...]
    accuracy: float | None
    """Measured on the day's feedback."""


def run_demo(count: int, faces: int, report: Report) -> tuple[list[DemoDay], Path]:
    """Simulate the days, look at each with drift-monitor; what it said, and the dashboard's workspace.

    Raises ModelNotFound without a champion.
    """
    champion = registry().find(CHAMPION)
    if champion is None:
        raise ModelNotFound("the demo lets the champion answer, and there is none: `make run` trains one in minutes.")
    model = artifact(champion)
    home = _move_in(settings())
    story = days(count, faces, calm=max(1, count // 3), last=midnight(datetime.now(UTC)))
    told = simulate(Logbook(store()), model, champion.version, story, count, 0.4, report)
    seen = []
    for day in told:
        window = WindowParameters(day.begins.isoformat(), (day.begins + timedelta(days=1)).isoformat())
        outcome = run_monitor(window)
        accuracy = _accuracy(outcome.report) if outcome.report else None
        seen.append(DemoDay(f"{day.begins:%Y-%m-%d}", day.shift, outcome.sight, outcome.checks, accuracy))
    return seen, home / "evidently"


def _move_in(real: Settings) -> Path:
    """Make `<home>/demo` the home of this process, with the real registry: no simulated row among real ones.

    Nor on a real server, where an automation would answer the alarm with a retraining: Prefect is one of its own.
    """
    home = real.root / "demo"
    shutil.rmtree(home, ignore_errors=True)
    os.environ |= {"FERLINE_TRACKING_URI": real.mlflow_uri, "FERLINE_HOME": str(home), "FERLINE_STORE": ""}
    for name in ("FERLINE_NOTIFY", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_PROFILE"):
        os.environ.pop(name, None)
    os.environ["PREFECT_HOME"] = str(home / "prefect")
    return home


def _accuracy(uri: str) -> float | None:
    from components.drift import DriftReport

    quality = DriftReport.from_json((Path(uri) / "report.json").read_text()).quality
    return None if quality is None else quality.accuracy
