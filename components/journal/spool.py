"""What the store does not hold yet: a SQLite file for all workers of a machine.

SQLite's write-ahead log makes a committed row outlive a kill -9 of its writer at any moment. It is not forced to the
disk on every commit: a power cut may lose the last rows, and leaves a file that is whole.
"""

import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.predictions import Label, Prediction, day_of

BUSY_SECONDS = 10.0

TABLES = """
CREATE TABLE IF NOT EXISTS predictions (
    id TEXT NOT NULL, version TEXT NOT NULL, role TEXT NOT NULL, probabilities BLOB NOT NULL,
    uncertain INTEGER NOT NULL, brightness REAL, contrast REAL, sharpness REAL, face_width INTEGER, latency_ms REAL,
    embedding BLOB, tag TEXT, pixels BLOB, day TEXT NOT NULL, shipment TEXT
);
CREATE INDEX IF NOT EXISTS predictions_by_id ON predictions (id);
CREATE INDEX IF NOT EXISTS predictions_by_shipment ON predictions (shipment, day);
CREATE TABLE IF NOT EXISTS labels (
    id TEXT PRIMARY KEY, time REAL NOT NULL, label INTEGER NOT NULL, day TEXT NOT NULL, shipped INTEGER NOT NULL
);
"""
COLUMNS = (
    "id", "version", "role", "probabilities", "uncertain", "brightness", "contrast", "sharpness", "face_width",
    "latency_ms", "embedding", "tag", "pixels",
)  # fmt: skip
INSERT = f"INSERT INTO predictions ({', '.join(COLUMNS)}, day) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
SELECT = f"SELECT {', '.join(COLUMNS)} FROM predictions"


class Spool:
    """Predictions and labels on their way. Every method may be called from any thread."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        self._local = threading.local()
        with self._open() as connection:
            connection.executescript(TABLES)

    def add(self, rows: list[Prediction]) -> None:
        """Keep rows; once it returns they outlive a kill. Raises sqlite3.Error, as on a full disk."""
        with self._open() as connection:
            connection.executemany(INSERT, [(*_values(row), day_of(row.id)) for row in rows])

    def find(self, id: str) -> list[Prediction]:
        """What was answered under an id and is still here."""
        with self._open() as connection:
            return [_prediction(row) for row in connection.execute(f"{SELECT} WHERE id = ?", (id,))]

    def waiting(self) -> tuple[int, str]:
        """How many predictions wait for the store, and the oldest one's id ('' for none)."""
        with self._open() as connection:
            count, oldest = connection.execute("SELECT count(*), coalesce(min(id), '') FROM predictions").fetchone()
            return int(count), str(oldest)

    def newest(self) -> int:
        """Place of the newest row: what comes later has a higher one."""
        with self._open() as connection:
            return int(connection.execute("SELECT coalesce(max(rowid), 0) FROM predictions").fetchone()[0])

    def take(self, most: int, edge: int) -> tuple[str, str, list[Prediction]] | None:
        """The next shipment of rows up to a place: its day, its name and its rows.

        Rows stay assigned to it until `drop`, so that one that was interrupted goes out again under the same name.
        """
        with self._open() as connection:
            begun = connection.execute(
                "SELECT shipment, day FROM predictions WHERE shipment IS NOT NULL LIMIT 1"
            ).fetchone()
            name, day = begun or _assign(connection, most, edge)
            if not name:
                return None
            rows = connection.execute(f"{SELECT} WHERE shipment = ? ORDER BY id", (name,)).fetchall()
            return day, name, [_prediction(row) for row in rows]

    def drop(self, name: str) -> None:
        """Forget a shipment that the store holds."""
        with self._open() as connection:
            connection.execute("DELETE FROM predictions WHERE shipment = ?", (name,))

    def label(self, id: str) -> int | None:
        """The label of an id that was given on this machine."""
        with self._open() as connection:
            found = connection.execute("SELECT label FROM labels WHERE id = ?", (id,)).fetchone()
            return None if found is None else int(found[0])

    def add_label(self, label: Label, replace: bool) -> int | None:
        """Keep a label unless there is one for its id; the earlier one, or None. `replace` takes the new one anyway:
        also the same class told again, which another machine may have replaced meanwhile."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")  # two at once: one of them finds the other's
            found = connection.execute("SELECT label FROM labels WHERE id = ?", (label.id,)).fetchone()
            earlier = None if found is None else int(found[0])
            if earlier is None or replace:
                connection.execute(
                    "INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?, 0)",
                    (label.id, label.time.timestamp(), label.label, day_of(label.id)),
                )
            return earlier

    def unshipped_labels(self) -> list[Label]:
        """Labels that the store does not hold, oldest first."""
        with self._open() as connection:
            rows = connection.execute("SELECT id, time, label FROM labels WHERE shipped = 0 ORDER BY time").fetchall()
            return [Label(id, datetime.fromtimestamp(time, UTC), label) for id, time, label in rows]

    def mark_shipped(self, labels: list[Label]) -> None:
        """The store holds these; one that was replaced meanwhile still waits."""
        with self._open() as connection:
            connection.executemany(
                "UPDATE labels SET shipped = 1 WHERE id = ? AND time = ?",
                [(label.id, label.time.timestamp()) for label in labels],
            )

    def delete(self, id: str) -> int:
        """Remove an id's predictions and label; how many predictions there were."""
        with self._open() as connection:
            connection.execute("DELETE FROM labels WHERE id = ?", (id,))
            gone = connection.execute("DELETE FROM predictions WHERE id = ?", (id,)).rowcount
        with self._open() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # its bytes leave the write-ahead log too
        return gone

    def prune_labels(self, before: str) -> None:
        """Forget shipped labels of predictions made before a day."""
        with self._open() as connection:
            connection.execute("DELETE FROM labels WHERE shipped = 1 AND day < ?", (before,))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection, in one transaction."""
        if not hasattr(self._local, "connection"):
            connection = sqlite3.connect(self.file, BUSY_SECONDS)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
            self._local.connection = connection
        with self._local.connection as connection:
            yield connection


def _assign(connection: sqlite3.Connection, most: int, edge: int) -> tuple[str, str]:
    """Make the oldest day's first rows a shipment, named by its first and last id, and by chance.

    An id alone names no file: a shadow's row has the id of one that may have gone already.
    """
    free = "FROM predictions WHERE shipment IS NULL AND rowid <= ?"
    oldest = connection.execute(f"SELECT min(day) {free}", (edge,)).fetchone()[0]
    if oldest is None:
        return "", ""
    rows = connection.execute(
        f"SELECT rowid, id {free} AND day = ? ORDER BY id LIMIT ?", (edge, oldest, most)
    ).fetchall()
    name = f"{rows[0][1]}-{rows[-1][1]}-{uuid.uuid4().hex[:8]}"
    connection.executemany("UPDATE predictions SET shipment = ? WHERE rowid = ?", [(name, rowid) for rowid, _ in rows])
    return name, oldest


def _values(row: Prediction) -> tuple[object, ...]:
    return (
        row.id, row.version, row.role, row.probabilities.astype("<f4").tobytes(), int(row.uncertain), row.brightness,
        row.contrast, row.sharpness, row.face_width, row.latency_ms,
        None if row.embedding is None else row.embedding.astype("<f4").tobytes(), row.tag, row.pixels,
    )  # fmt: skip


def _prediction(values: tuple[object, ...]) -> Prediction:
    raw = dict(zip(COLUMNS, values, strict=True))
    embedding = None if raw["embedding"] is None else _floats(raw["embedding"])
    return Prediction(
        **{**raw, "probabilities": _floats(raw["probabilities"]), "embedding": embedding,
           "uncertain": bool(raw["uncertain"])}  # type: ignore[arg-type]
    )  # fmt: skip


def _floats(blob: object) -> npt.NDArray[np.float32]:
    assert isinstance(blob, bytes)
    return np.frombuffer(blob, "<f4").astype(np.float32)
