"""The one door to Evidently: a window's report as a page, and its snapshot in a workspace whose dashboard shows all.

Column checks are Evidently's own, with the method pinned and our threshold; scores that it has no method for (the
domain classifier, quality against labels) are handed over as figures. Snapshots hold no row of the data.
"""

import hashlib
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pandas as pd

os.environ.setdefault("DO_NOT_TRACK", "1")  # read while it is imported

from evidently import DataDefinition, Dataset, Report
from evidently.core.metric_types import SingleValue, SingleValueCalculation, SingleValueMetric
from evidently.metrics import MeanValue, UniqueValueCount, ValueDrift
from evidently.sdk.models import DashboardModel, DashboardPanelPlot, DashboardTabModel, PanelMetric, ProjectModel
from evidently.sdk.panels import bar_plot_panel, line_plot_panel
from evidently.ui.workspace import Workspace

from components.drift.detect import figures
from components.drift.history import KEPT, PAGE
from components.drift.measure import COLUMNS, STATISTICS
from components.drift.records import DriftReport, Reference
from components.labels import CLASSES
from components.predictions import Window

if TYPE_CHECKING:
    from evidently.core.report import Context, Snapshot

PROJECT = "ferline"
NUMBERS = ["brightness", "contrast", "sharpness", "confidence"]
CATEGORIES = ["answer", "uncertain"]


class Figure(SingleValueMetric):  # type: ignore[misc]  # ships annotations that mypy cannot follow
    """A number of ours by name, read from the data handed over beside the window."""

    name: str


class FigureCalculation(SingleValueCalculation[Figure]):  # type: ignore[misc]
    """Looks the number up."""

    def calculate(self, context: "Context", current_data: Dataset, reference_data: Dataset | None) -> SingleValue:
        table = context.additional_data["figures"].as_dataframe().set_index("name")["value"]
        return self.result(float(table[self.metric.name]))

    def display_name(self) -> str:
        return str(self.metric.name)


def run_evidently(reference: Reference, window: Window, report: DriftReport) -> "Snapshot":
    """Evidently's snapshot of a window that `detect` has looked at, with the same thresholds."""
    numbers = figures(report)
    thresholds = {finding.check: finding for finding in report.findings}
    metrics: list[Any] = []
    for check, (column, _) in COLUMNS.items():
        if check in thresholds:
            method = "jensenshannon" if column in STATISTICS else "wasserstein"
            metrics.append(ValueDrift(column=column, method=method, threshold=thresholds[check].threshold))
    metrics += [MeanValue(column=column) for column in NUMBERS] + [UniqueValueCount(column="answer")]
    metrics += [Figure(name=name) for name in numbers]
    drawn = window.table.iloc[window.drawn]
    return Report(metrics).run(
        _dataset(drawn),
        _dataset(reference.table),
        additional_data={"figures": pd.DataFrame({"name": list(numbers), "value": list(numbers.values())})},
        timestamp=datetime.fromisoformat(report.until),
        metadata={"version": report.version, "window": report.window},
        tags=[f"version {report.version}", "drifted" if report.drifted else "quiet"],
        name=f"version {report.version} until {report.until[:16]}",
    )


def _dataset(table: pd.DataFrame) -> Dataset:
    plain = table[NUMBERS].astype("float64")
    plain["answer"] = [CLASSES[k] for k in table["answer"]]
    plain["uncertain"] = table["uncertain"].map({True: "uncertain", False: "certain"})
    definition = DataDefinition(numerical_columns=NUMBERS, categorical_columns=CATEGORIES)
    return Dataset.from_pandas(plain.reset_index(drop=True), data_definition=definition)


def save_page(snapshot: "Snapshot", folder: Path) -> Path:
    """Evidently's page of one window; its path."""
    path = folder / PAGE
    snapshot.save_html(str(path))
    return path


def add_to_workspace(workspace: Path, snapshot: "Snapshot", window: str, versions: Sequence[str]) -> UUID:
    """Put a window's snapshot on the dashboard, where the oldest make room; the project's id.

    The same window again replaces what was there.

    window: its name. versions: those the dashboard draws, each as a line of its own.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    place = Workspace(str(workspace))
    project = next(iter(place.search_project(PROJECT)), None) or place.add_project(
        ProjectModel(name=PROJECT, description="What the service sees against what its model was judged on.")
    )
    for old in sorted(place.list_runs(project.id), key=str)[: 1 - KEPT]:
        place.delete_run(project.id, old)
    place.state.write_snapshot(project.id, _run_id(window), snapshot.to_snapshot_model())
    place.save_dashboard(project.id, dashboard(versions))
    return UUID(str(project.id))


def _run_id(window: str) -> UUID:
    """A window's own, so that none has to be read to find it: the time it ends, in front as in UUIDs of version 7.

    `Workspace.add_run` gives a new one of those each time (Evidently 0.7), and cannot be given another.
    """
    last = window.partition("-")[2]
    return UUID(last[:12] + hashlib.sha256(window.encode()).hexdigest()[:20])


def dashboard(versions: Sequence[str]) -> DashboardModel:
    """All panels, anew: saved as a whole they are there once, however often."""
    panels = [
        _lines("Share of checks that say drift", ["drift share"], versions, "full"),
        _lines("Accuracy where labels came, and estimated", ["accuracy", "estimated accuracy"], versions),
        _lines("Macro-F1 where labels came, and estimated", ["macro-F1", "estimated macro-F1"], versions),
        _drift("Image statistics: distance from the reference", "covariate", versions),
        _drift("Answers: distance from the reference", "prediction", versions),
        _lines("Embedding: told apart by a classifier (0.5: not)", ["value of embedding"], versions),
        _lines("Uncertain share", ["mean of uncertain"], versions),
        _bars("Class shares of the answers", [f"mean of share {name}" for name in CLASSES], versions),
        *(_lines(f"Mean {name}", [f"mean of {name}"], versions) for name in NUMBERS),
        _lines("Calibration error where labels came", ["calibration error"], versions),
        _lines("Predictions and labels", ["rows", "labelled"], versions),
    ]
    # Evidently's open page draws the panels of all tabs one below the other: one tab says what is seen.
    tab = DashboardTabModel(title="Drift", panels=[panel.id for panel in panels])
    return DashboardModel(tabs=[tab], panels=panels)


def _series(name: str, legend: str, version: str) -> PanelMetric:
    return PanelMetric(
        metric=Figure.__get_type__(),
        metric_labels={"name": name},
        metadata={"version": version},
        legend=f"{legend}, version {version}",
    )


def _lines(title: str, names: Sequence[str], versions: Sequence[str], size: str = "half") -> DashboardPanelPlot:
    series = [
        _series(name, name.removeprefix("mean of ").removeprefix("value of "), version)
        for version in versions
        for name in names
    ]
    return line_plot_panel(title, series, size=size)


def _bars(title: str, names: Sequence[str], versions: Sequence[str]) -> DashboardPanelPlot:
    series = [_series(name, name.removeprefix("mean of share "), version) for version in versions for name in names]
    return bar_plot_panel(title, series, size="full", stacked=True)


def _drift(title: str, kind: str, versions: Sequence[str]) -> DashboardPanelPlot:
    chosen = [check for check, (_, of) in COLUMNS.items() if of == kind]
    return _lines(title, [f"value of {check}" for check in chosen], versions)
