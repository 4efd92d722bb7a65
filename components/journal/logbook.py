"""The prediction log in the store: Parquet files by day, which pandas, DuckDB and Spark read as they lie.

    predictions/day=2026-11-25/<first id>-<last id>-<chance>.parquet
    labels/day=2026-11-25/<first id>-<last id>-<when>.parquet    the day of the prediction, not of the label
    deleted/day=2026-11-27/<id>                                  the day of the deletion

Ids sort by time, so the name of a file tells which ids can be in it. A file is rewritten where a row of it is deleted:
two machines at once bring back each other's, hence a mark for each deleted id, by which it is deleted again.
"""

import io
import re
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.errors import StoreNotFound
from components.predictions import LABELS, SCHEMA, Label, Prediction, day_of, label_table, prediction_table
from components.store import Store

PREDICTIONS, FEEDBACK, DELETED = "predictions", "labels", "deleted"
WHEN = "%Y%m%d%H%M%S%f"
FILE = re.compile(r"day=\d{4}-\d\d-\d\d/[0-9a-f]{32}-[0-9a-f]{32}(-\w+)?\.parquet$")
"""Others may leave files of their own beside ours, such as the marks of a Spark job."""
MARK = re.compile(rf"{DELETED}/day=\d{{4}}-\d\d-\d\d/[0-9a-f]{{12}}7[0-9a-f]{{19}}$")


class Logbook:
    """Reads and writes the log's files. Store errors pass through."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, day: str, name: str, rows: list[Prediction]) -> None:
        """Write one file, whole or not at all; the same name again replaces it."""
        self._write(f"{PREDICTIONS}/day={day}/{name}.parquet", prediction_table(rows))

    def add_labels(self, rows: list[Label]) -> None:
        """Write labels, a file for each day of their predictions."""
        by_day: dict[str, list[Label]] = {}
        for row in sorted(rows, key=lambda row: row.id):
            by_day.setdefault(day_of(row.id), []).append(row)
        for day, of_day in by_day.items():
            when = max(row.time for row in of_day).strftime(WHEN)
            name = f"{of_day[0].id}-{of_day[-1].id}-{when}"
            self._write(f"{FEEDBACK}/day={day}/{name}.parquet", label_table(of_day))

    def has(self, id: str) -> bool:
        """Whether an id was answered, by any model."""
        return any(self._rows(name, id).num_rows for name in self._files_with(PREDICTIONS, {id}))

    def predictions(self, id: str) -> pd.DataFrame:
        """What was answered under an id, a row for each model; empty where nothing was."""
        return _frame(SCHEMA, [self._rows(name, id) for name in self._files_with(PREDICTIONS, {id})])

    def label(self, id: str) -> int | None:
        """The newest label of an id."""
        rows = pa.concat_tables([LABELS.empty_table(), *(self._rows(n, id) for n in self._files_with(FEEDBACK, {id}))])
        return int(rows.sort_by("time")["label"][-1].as_py()) if rows.num_rows else None

    def read(self, since: datetime, until: datetime, columns: list[str] | None = None) -> pd.DataFrame:
        """Predictions made in [since, until), oldest first, with the column `label`: their class, or missing.

        columns: of SCHEMA, the ones that are read; all by default, which for embeddings and pixels can be much.
        """
        wanted = list(dict.fromkeys(["id", "time", "version", "role", *(columns or SCHEMA.names)]))
        frame = _frame(_schema(wanted), [self.table(since, until, wanted)])
        labels = self._labels(since, until)
        return frame.assign(label=frame["id"].map(labels).astype("Int8"))

    def table(self, since: datetime, until: datetime, columns: list[str], version: str | None = None) -> pa.Table:
        """Some columns of the predictions made in [since, until), file after file; of one version if it is named."""
        schema = _schema(columns)
        read = list(dict.fromkeys([*columns, "time", "version"]))
        parts = [schema.empty_table()]
        for name in self._files_between(PREDICTIONS, since, until):
            part = pq.read_table(self._bytes(name), columns=read)
            inside = pc.and_(pc.greater_equal(part["time"], since), pc.less(part["time"], until))
            if version is not None:
                inside = pc.and_(inside, pc.equal(part["version"], version))
            parts.append(part.filter(inside).select(columns))
        return pa.concat_tables(parts)

    def rows(self, ids: pa.Array, columns: list[str], version: str | None = None) -> pa.Table:
        """Some columns of predictions by id, ids ascending; ids that are not on record are left out.

        version: only its predictions; a shadow's have the ids of the champion's.
        """
        schema, parts = _schema(["id", *columns]), []
        if len(ids):
            first, last = pc.min(ids).as_py(), pc.max(ids).as_py()
            wanted = pc.field("id").isin(ids)
            if version is not None:
                wanted &= pc.field("version") == version
            for name in self._files(PREDICTIONS):
                low, high = _range(name)
                if low <= last and high >= first:
                    parts.append(pq.read_table(self._bytes(name), columns=schema.names, filters=wanted))
        return pa.concat_tables([schema.empty_table(), *parts]).sort_by("id")

    def told(self, since: datetime, until: datetime) -> dict[str, int]:
        """Labels that came in [since, until): id -> newest class, of predictions of whichever time."""
        edge = since.astimezone(UTC).strftime(WHEN)
        tables = [pq.read_table(self._bytes(name)) for name in self._files(FEEDBACK) if _when(name) >= edge]
        rows = pa.concat_tables([LABELS.empty_table(), *tables])
        inside = pc.and_(pc.greater_equal(rows["time"], since), pc.less(rows["time"], until))
        return _newest(rows.filter(inside))

    def bury(self, id: str) -> None:
        """Mark an id as deleted, so that what brings it back does not last."""
        self.store.put_bytes(f"{DELETED}/day={datetime.now(UTC).date().isoformat()}/{id}", b"")

    def buried(self, since: str = "") -> set[str]:
        """Ids that are marked as deleted on a day, such as 2026-11-25, or later."""
        return {name.rpartition("/")[2] for name in self._marks() if _day(name) >= since}

    def unbury(self, before: str) -> None:
        """Drop the marks of deletions before a day, such as 2026-11-25."""
        for name in self._marks():
            if _day(name) < before:
                self.store.delete(name)

    def delete(self, ids: set[str]) -> list[str]:
        """Remove ids' predictions and labels for good; the id of every prediction that was there."""
        gone = [id for name in self._files_with(PREDICTIONS, ids) for id in self._without(name, ids)]
        for name in self._files_with(FEEDBACK, ids):
            self._without(name, ids)
        return gone

    def prune(self, before: str) -> list[str]:
        """Remove the files of all days before one, such as 2026-11-25; their names."""
        old = [name for kind in (PREDICTIONS, FEEDBACK) for name in self._files(kind) if _day(name) < before]
        for name in old:
            self.store.delete(name)
        return old

    def _labels(self, since: datetime, until: datetime) -> dict[str, int]:
        tables = [pq.read_table(self._bytes(name)) for name in self._files_between(FEEDBACK, since, until)]
        return _newest(pa.concat_tables([LABELS.empty_table(), *tables]))

    def _files_between(self, kind: str, since: datetime, until: datetime) -> list[str]:
        low, high = _hex(since), _hex(until)
        return [name for name in self._files(kind) if _range(name)[1] >= low and _range(name)[0] < high]

    def _files_with(self, kind: str, ids: set[str]) -> list[str]:
        """Files that can hold one of the ids."""
        days = sorted({day_of(id) for id in ids})
        ranges = {name: _range(name) for day in days for name in self._files(f"{kind}/day={day}")}
        return [name for name, (first, last) in ranges.items() if any(first <= id <= last for id in ids)]

    def _files(self, below: str) -> list[str]:
        return [name for name in self.store.list(f"{below}/") if FILE.search(name)]

    def _marks(self) -> list[str]:
        return [name for name in self.store.list(f"{DELETED}/") if MARK.fullmatch(name)]

    def _rows(self, name: str, id: str) -> pa.Table:
        return pq.read_table(self._bytes(name), filters=[("id", "==", id)])

    def _without(self, name: str, ids: set[str]) -> list[str]:
        """Rewrite a file without ids; the id of every row that went."""
        try:
            table = pq.read_table(self._bytes(name))
        except StoreNotFound:  # another machine has just deleted its last row
            return []
        chosen = pc.is_in(table["id"], pa.array(sorted(ids), pa.string()))
        gone: list[str] = table.filter(chosen)["id"].to_pylist()
        if len(gone) == table.num_rows:
            self.store.delete(name)
        elif gone:
            self._write(name, table.filter(pc.invert(chosen)))
        return gone

    def _bytes(self, name: str) -> io.BytesIO:
        return io.BytesIO(self.store.read_bytes(name))

    def _write(self, name: str, table: pa.Table) -> None:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        self.store.put_bytes(name, buffer.getvalue())


def retention_edge(days: int, now: datetime) -> str:
    """The first day that is still kept."""
    return (now - timedelta(days=days)).astimezone(UTC).date().isoformat()


def _schema(columns: list[str]) -> pa.Schema:
    return pa.schema([SCHEMA.field(name) for name in columns])


def _newest(labels: pa.Table) -> dict[str, int]:
    """Id -> class; the newest of several stays."""
    rows = labels.sort_by("time")
    return dict(zip(rows["id"].to_pylist(), rows["label"].to_pylist(), strict=True))


def _when(name: str) -> str:
    """When the newest label of a file came."""
    return name.removesuffix(".parquet").rpartition("-")[2]


def _frame(schema: pa.Schema, tables: list[pa.Table]) -> pd.DataFrame:
    frame: pd.DataFrame = pa.concat_tables([schema.empty_table(), *tables]).sort_by("id").to_pandas()
    return frame


def _hex(moment: datetime) -> str:
    """The least id of a millisecond."""
    return f"{int(moment.timestamp() * 1000):012x}"


def _range(name: str) -> tuple[str, str]:
    first, last = name.rpartition("/")[2].removesuffix(".parquet").split("-")[:2]
    return first, last


def _day(name: str) -> str:
    return name.partition("day=")[2].partition("/")[0]
