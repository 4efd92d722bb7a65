"""The drift monitor's newest figures as gauges, since Prometheus asks the service anyway and a flow is gone by then."""

import logging
from collections import defaultdict
from collections.abc import Mapping

from prometheus_client import Gauge

from components.drift import figures
from components.drift.history import newest
from components.drift.records import DriftReport
from components.store import Store
from serving import metrics

log = logging.getLogger("ferline.serving")


class DriftGauges:
    """Reads the newest report of the store when told to."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._shown: DriftReport | None = None
        self._known: defaultdict[Gauge, set[tuple[str, ...]]] = defaultdict(set)

    def refresh(self) -> None:
        """Show the newest report; what cannot be read leaves the last one standing."""
        try:
            report = newest(self.store)
            if report is not None and report != self._shown:  # a window is looked at anew when more labels came
                self._show(report)
        except Exception as error:  # a store that is away, a file that is no report: nothing that is served needs it
            log.warning("the newest drift report cannot be read: %s: %s", type(error).__name__, error)

    def _show(self, report: DriftReport) -> None:
        self._set(metrics.DRIFT, {(report.version, name): value for name, value in figures(report).items()})
        self._set(
            metrics.DRIFTED,
            {(report.version, f.check, f.kind, f.severity): float(f.drifted) for f in report.findings},
        )
        self._shown = report

    def _set(self, gauge: Gauge, values: Mapping[tuple[str, ...], float]) -> None:
        """An earlier version's figures, and those that this report lacks, are no number any more: prometheus_client
        removes nothing where several processes are summed."""
        for labels in self._known[gauge] - set(values):
            gauge.labels(*labels).set(float("nan"))
        for labels, value in values.items():
            gauge.labels(*labels).set(value)
        self._known[gauge] |= set(values)
