"""Evidently says what we say, and the dashboard is there once."""

import json
from pathlib import Path

import pytest

from components.drift import DriftPolicy, detect
from components.drift.measure import COLUMNS
from components.errors import DataError


@pytest.fixture(scope="module")
def evidently():
    """Its import takes seconds."""
    from components.drift import evidently

    return evidently


def test_its_scores_and_verdicts_are_ours(reference, make_window, evidently) -> None:
    window = make_window(darker=20, labels=100)
    report = detect(reference, window, DriftPolicy())
    snapshot = evidently.run_evidently(reference, window, report)
    theirs = {}
    for metric in json.loads(snapshot.json())["metrics"]:
        if metric["metric_name"].startswith("ValueDrift"):
            theirs[metric["config"]["column"]] = (metric["value"], metric["config"]["threshold"])
    for finding in report.findings:
        if finding.check in COLUMNS:
            column = COLUMNS[finding.check][0]
            assert theirs[column] == pytest.approx((finding.value, finding.threshold)), finding.check


def test_the_page_holds_no_row_of_the_data_and_says_drift(tmp_path: Path, reference, make_window, evidently) -> None:
    window = make_window(darker=20)
    snapshot = evidently.run_evidently(reference, window, detect(reference, window, DriftPolicy()))
    page = evidently.save_page(snapshot, tmp_path).read_text()
    assert "Data drift detected" in page
    rows = window.table[evidently.NUMBERS]
    inner = rows[(rows > rows.min()).all(axis=1) & (rows < rows.max()).all(axis=1)]  # a histogram has both ends
    assert len(inner) > 400
    assert [value for value in inner.to_numpy().ravel() if str(value)[:12] in page] == []


def test_a_window_comes_once_and_panels_are_defined_once(tmp_path: Path, reference, make_window, evidently) -> None:
    from evidently.ui.workspace import Workspace

    for day in (0, 1, 1):
        window = make_window(day=day)
        snapshot = evidently.run_evidently(reference, window, detect(reference, window, DriftPolicy()))
        project = evidently.add_to_workspace(tmp_path / "ws", snapshot, window.name, ["3"])
    place = Workspace(str(tmp_path / "ws"))
    assert len(place.list_projects()) == 1
    assert len(place.list_runs(project)) == 2
    assert place.list_datasets(project).datasets == []
    panels = [panel.title for panel in place.get_dashboard(project).panels]
    assert len(panels) == len(set(panels)) == len(evidently.dashboard(["3"]).panels)


def test_the_oldest_windows_make_room_on_the_dashboard(
    tmp_path: Path, reference, make_window, evidently, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evidently.ui.workspace import Workspace

    monkeypatch.setattr(evidently, "KEPT", 2)
    windows = {day: make_window(day=day) for day in (2, 1, 3)}
    for window in windows.values():
        snapshot = evidently.run_evidently(reference, window, detect(reference, window, DriftPolicy()))
        project = evidently.add_to_workspace(tmp_path / "ws", snapshot, window.name, ["3"])
    place = Workspace(str(tmp_path / "ws"))
    shown = {place.get_run(project, run).metadata["window"] for run in place.list_runs(project)}
    assert shown == {windows[2].name, windows[3].name}


def test_versions_have_lines_of_their_own(evidently) -> None:
    panel = evidently.dashboard(["3", "4"]).panels[0]
    assert [series.metadata for series in panel.values] == [{"version": "3"}, {"version": "4"}]


def test_an_old_reference_is_refused_with_what_to_do(tmp_path: Path, reference) -> None:
    from components.drift import read_reference

    reference.table.assign(predicted=0).to_parquet(tmp_path / "reference.parquet")
    with pytest.raises(DataError, match="Train and promote a model again"):
        read_reference(tmp_path / "reference.parquet", 0.4)
