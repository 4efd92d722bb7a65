"""The drift monitor's newest figures as gauges, since Prometheus asks the service anyway and a flow is gone by then."""

import logging
from collections import defaultdict
from collections.abc import Mapping

from prometheus_client import Gauge

from components.drift import figures
from components.drift.history import newest
from components.errors import FerlineError
from components.store import Store
from serving import metrics

log = logging.getLogger("ferline.serving")


class DriftGauges:
    """Reads the newest report of the store when told to."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._shown = ""
        self._known: defaultdict[Gauge, set[tuple[str, ...]]] = defaultdict(set)

    def refresh(self) -> None:
        """Show the newest report; what cannot be read leaves the last one standing."""
        try:
            report = newest(self.store)
        except (FerlineError, ValueError, KeyError, TypeError) as error:
            log.warning("the newest drift report cannot be read: %s", error)
            return
        if report is None or report.window == self._shown:
            return
        self._set(metrics.DRIFT, {(report.version, name): value for name, value in figures(report).items()})
        self._set(
            metrics.DRIFTED,
            {(report.version, f.check, f.kind, f.severity): float(f.drifted) for f in report.findings},
        )
        self._shown = report.window

    def _set(self, gauge: Gauge, values: Mapping[tuple[str, ...], float]) -> None:
        """An earlier version's figures, and those that this report lacks, are no number any more: prometheus_client
        removes nothing where several processes are summed."""
        for labels in self._known[gauge] - set(values):
            gauge.labels(*labels).set(float("nan"))
        for labels, value in values.items():
            gauge.labels(*labels).set(value)
        self._known[gauge] |= set(values)
