"""What the monitor makes of a window and the reports before it."""

from pathlib import Path

import pytest

from components.drift import DriftPolicy, DriftReport, Finding
from components.drift.history import keep
from components.drift.policy import WindowPolicy
from components.drift.records import Estimate
from components.store import LocalStore
from flows import monitor

MOMENT = "2026-11-20T12:00:00+00:00"
DRIFTED = Finding("brightness", "covariate", "Wasserstein", 0.3, 0.1, "alarm", True, 500, "")


def report(number: int) -> DriftReport:
    """A drifted one, of a window that ends before the next number's begins."""
    window = f"{2 * number:032x}-{2 * number + 1:032x}"
    return DriftReport("3", window, MOMENT, MOMENT, 500, 500, (DRIFTED,), {}, {}, Estimate(500, 0.6, 0.6), None, (), {})


@pytest.mark.parametrize(("windows", "sight"), [(24, "Drifted"), (25, "Alarm")])
def test_as_many_windows_on_end_as_the_policy_asks_for_raise_the_alarm(
    windows: int, sight: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "store")
    for number in range(windows):
        (tmp_path / str(number)).mkdir()
        keep(store, report(number), tmp_path / str(number))
    monkeypatch.setattr(monitor, "store", lambda: store)
    monkeypatch.setattr(monitor, "drift_policy", lambda: DriftPolicy(window=WindowPolicy(running=25)))
    outcome = monitor._judge(report(windows - 1), "uri")
    assert (outcome.sight, outcome.running) == (sight, windows)
