"""The newest drift report as gauges, whatever lies in its place."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from components.drift.history import LATEST, publish
from components.drift.records import DriftReport, Estimate, Finding
from components.store import LocalStore
from serving.drift import DriftGauges

REPORT = DriftReport(
    version="7", window="a-b", since="2026-11-25", until="2026-11-26", rows=500, drawn=500,
    findings=(Finding("brightness", "covariate", "distance", 0.5, 0.3, "alarm", True, 500, ""),),
    means={"brightness": 120.0}, reference_means={"brightness": 130.0}, estimate=Estimate(500, 0.6, 0.5),
    quality=None, slices=(), policy={},
)  # fmt: skip


def shown(figure: str) -> float | None:
    return REGISTRY.get_sample_value("ferline_drift", {"version": "7", "figure": figure})


def test_a_report_made_anew_of_the_same_window_is_shown(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    gauges = DriftGauges(store)
    publish(store, REPORT)
    gauges.refresh()
    assert shown("mean of brightness") == 120
    publish(store, replace(REPORT, means={"brightness": 90.0}))
    gauges.refresh()
    assert shown("mean of brightness") == 90


WHOLE = json.loads(REPORT.to_json())


@pytest.mark.parametrize(
    "broken",
    [b"\xff", b"no json", b"[]", b"{}", *(json.dumps({**WHOLE, **wrong}).encode() for wrong in (
        {"findings": 3}, {"findings": [{"check": "brightness"}]}, {"estimate": None}, {"means": {"brightness": None}},
        {"slices": [3]}, {"quality": [1]}, {"unknown": 1},
    ))],
)  # fmt: skip
def test_what_is_no_report_leaves_the_last_one_standing(tmp_path: Path, broken: bytes) -> None:
    store = LocalStore(tmp_path)
    gauges = DriftGauges(store)
    publish(store, REPORT)
    gauges.refresh()
    store.put_bytes(LATEST, broken)
    gauges.refresh()
    assert shown("rows") == 500
    publish(store, replace(REPORT, rows=600))
    gauges.refresh()
    assert shown("rows") == 600


@pytest.mark.parametrize("error", [PermissionError, OSError, BlockingIOError])
def test_a_store_that_cannot_be_read_is_told_alone(tmp_path: Path, monkeypatch, caplog, error: type[OSError]) -> None:
    store = LocalStore(tmp_path)

    def refuse(name: str) -> bytes:
        raise error("not now")

    monkeypatch.setattr(store, "read_bytes", refuse)
    DriftGauges(store).refresh()
    assert "not now" in caplog.text
