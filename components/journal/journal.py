"""Write predictions down before they are acknowledged, and bring them to the store behind that."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from components.errors import FerlineError, PredictionNotFound
from components.journal import lineage
from components.journal.logbook import Logbook, retention_edge
from components.journal.spool import Spool
from components.labels import CLASSES
from components.predictions import Label, made_at, prediction_table

log = logging.getLogger("ferline.journal")
SHIPMENT = 5000
"""Most predictions in one file of the store."""
PRUNE_SECONDS = 3600.0
WATCHED_DAYS = 7
"""So long it is looked every hour whether a deleted id has come back: by another machine rewriting the same file, a
shipment that was cut off, a shadow's late answer. Its mark stays as long as predictions do."""


class Journal:
    """The spool of this machine and the log in the store, as one."""

    def __init__(self, home: Path, logbook: Logbook, keep_days: int) -> None:
        """home: folder of the spool. keep_days: age at which predictions are removed; 0 keeps them for ever."""
        self.spool = Spool(home / "spool.db")
        self.logbook, self.keep_days = logbook, keep_days
        self._lock = FileLock(home / "spool.lock")
        self._pruned = float("-inf")

    def label(self, id: str, label: int, replace: bool = False) -> int | None:
        """Keep the true class of a prediction; the label it had before, or None.

        A label that is there stays unless `replace`. Raises PredictionNotFound, StoreUnreachable.
        """
        known = self.spool.label(id)
        if known is None and not self.spool.find(id):
            known = self._label_in_store(id)
        if known is None or replace:
            earlier = self.spool.add_label(Label(id, datetime.now(UTC), label), replace)
            known = known if earlier is None else earlier
        return known

    def show(self, id: str) -> list[dict[str, object]]:
        """What is on record of an id, a row for each model that answered; without embedding and picture."""
        if made_at(id) is None:
            raise PredictionNotFound(f"{id!r} is no id of a prediction.")
        waiting = self.spool.find(id)
        rows = prediction_table(waiting).to_pandas() if waiting else self.logbook.predictions(id)
        label = self.spool.label(id)
        if label is None and rows.empty:
            raise PredictionNotFound(f"no prediction {id!r} is on record.")
        label = self.logbook.label(id) if label is None and not waiting else label
        told = None if label is None else CLASSES[label]
        plain = rows.drop(columns=["embedding", "pixels", "probabilities"]).to_dict("records")
        shown = [
            {**row, "answer": CLASSES[row["answer"]], "label": told, "probabilities": _named(values)}
            for row, values in zip(plain, rows["probabilities"], strict=True)
        ]
        return [{str(name): value for name, value in row.items()} for row in shown]

    def delete(self, id: str) -> int:
        """Remove a prediction with its label and picture, here and in the store; how many rows there were.

        Dataset versions with its picture go too, unless a model has learned from them.
        """
        if made_at(id) is None:
            raise PredictionNotFound(f"{id!r} is no id of a prediction.")
        with self._lock:  # a shipment on its way would bring it back
            if self.spool.find(id) or self.logbook.has(id):
                self.logbook.bury(id)  # first: after a kill the next prune goes on
            gone = self.spool.delete(id) + len(self.logbook.delete({id}))
            lineage.forget(self.logbook.store, id)
        if not gone:
            raise PredictionNotFound(f"no prediction {id!r} is on record.")
        return gone

    def _label_in_store(self, id: str) -> int | None:
        if made_at(id) is None or not self.logbook.has(id):
            kept = f"{self.keep_days} days" if self.keep_days else "for good"
            raise PredictionNotFound(f"no prediction {id!r} is on record; answers name their id, which is kept {kept}.")
        return self.logbook.label(id)

    def ship(self) -> int:
        """Bring everything that waits to the store; how many predictions went. Raises StoreError, Timeout.

        What comes meanwhile goes the next time: under steady traffic there would be no end.
        """
        shipped = 0
        with self._lock.acquire(timeout=0):
            edge = self.spool.newest()
            while taken := self.spool.take(SHIPMENT, edge):
                day, name, rows = taken
                deleted = self._forget_deleted({row.id for row in rows})
                rows = [row for row in rows if row.id not in deleted]
                if rows:  # all of an interrupted shipment may have been deleted since
                    self.logbook.add(day, name, rows)
                self.spool.drop(name)
                shipped += len(rows)
            labels = self.spool.unshipped_labels()
            if labels:
                self.logbook.add_labels(labels)
                self.spool.mark_shipped(labels)
        return shipped

    def _forget_deleted(self, ids: set[str]) -> set[str]:
        """Those of the ids that were deleted, here or elsewhere; the spool holds them no longer."""
        deleted = ids & self.logbook.buried()
        for id in deleted:
            self.spool.delete(id)
        return deleted

    def bring(self) -> int:
        """`ship`, or nothing where a running service does so already."""
        try:
            return self.ship()
        except Timeout:
            return 0

    def delete_again(self, since: str = "") -> set[str]:
        """Remove what was deleted since a day, such as 2026-11-25, and has come back; its ids. '' for all marks.

        Dataset versions with such a picture go too, unless a model has learned from them.
        """
        with self._lock:
            back = set(self.logbook.delete(self.logbook.buried(since)))
            for id in back:
                lineage.forget(self.logbook.store, id)
        return back

    def prune(self) -> list[str]:
        """Remove what is older than it is kept, and again what was deleted; the names of the store's files that went.

        Dataset versions with such a picture go too, unless a model has learned from them.
        """
        now = datetime.now(UTC)
        self.delete_again(retention_edge(WATCHED_DAYS, now))
        if not self.keep_days:
            return []
        edge = retention_edge(self.keep_days, now)
        self.logbook.unbury(edge)
        self.spool.prune_labels(edge)
        lineage.expire(self.logbook.store, edge)
        return self.logbook.prune(edge)

    def start(self, every: float, tell: Callable[[int, float], None]) -> None:
        """Ship in a thread every so many seconds. tell: predictions that wait and the oldest one's age, seconds."""
        threading.Thread(target=self._work, args=(every, tell), name="ferline-journal", daemon=True).start()

    def _work(self, every: float, tell: Callable[[int, float], None]) -> None:
        problem = ""
        while True:
            threading.Event().wait(every)  # libfaketime 0.9.10 breaks time.sleep of Python 3.11
            try:
                self.bring()
                if time.monotonic() - self._pruned > PRUNE_SECONDS:
                    self.prune()
                    self._pruned = time.monotonic()
                problem = ""
            except (FerlineError, sqlite3.Error, OSError) as error:
                if str(error) != problem:
                    log.warning("the prediction log waits in %s: %s", self.spool.file, error)
                problem = str(error)
            except Exception:  # the thread outlives what nobody thought of; the rows wait
                log.exception("the prediction log could not be shipped")
            self._tell(tell)

    def _tell(self, tell: Callable[[int, float], None]) -> None:
        try:
            count, oldest = self.spool.waiting()
            made = made_at(oldest)
            tell(count, 0.0 if made is None else max(0.0, time.time() - made.timestamp()))
        except Exception:  # figures are no reason to ship no more
            log.exception("what waits for the store could not be told")


def _named(probabilities: npt.NDArray[np.float32]) -> dict[str, float]:
    return {name: round(float(p), 6) for name, p in zip(CLASSES, probabilities, strict=True)}
