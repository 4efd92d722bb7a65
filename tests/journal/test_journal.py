"""What is acknowledged is kept, through kills, a store that is away, and everything at once."""

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import uuid6
from filelock import FileLock, Timeout
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import PredictionNotFound, StoreUnreachable
from components.journal import Journal, Logbook, Spool, lineage
from components.journal.logbook import retention_edge
from components.labels import CLASSES
from components.predictions import Label, day_of, made_at
from components.store import LocalStore, Store
from tests.journal.conftest import FAR_AHEAD, LONG_AGO, made, prediction, ship_and_die

REPOSITORY = Path(__file__).parents[2]


class Away(LocalStore):
    """A store that answers nothing while `away`."""

    away = True

    def put_bytes(self, name: str, data: bytes) -> str:
        if self.away:
            raise StoreUnreachable("the store does not answer")
        return super().put_bytes(name, data)

    def list(self, prefix: str) -> list[str]:
        if self.away:
            raise StoreUnreachable("the store does not answer")
        return super().list(prefix)


def test_what_was_written_is_read_back_whole(journal: Journal) -> None:
    rows = [prediction(answer=k % 7, tag="camera 1", pixels=b"png") for k in range(20)]
    rows += [prediction(rows[0].id, role="shadow", version="2", embedding=None)]
    journal.spool.add(rows)
    assert journal.spool.find(rows[3].id)[0].tag == "camera 1"
    assert journal.ship() == 21
    assert journal.spool.waiting() == (0, "")
    frame = journal.logbook.read(LONG_AGO, FAR_AHEAD)
    assert sorted(frame["id"]) == sorted(row.id for row in rows)
    served = frame[frame["role"] == "champion"].reset_index(drop=True)
    assert served["answer"].tolist() == [k % 7 for k in range(20)]
    assert np.allclose(np.stack(served["probabilities"]), [row.probabilities for row in rows[:20]])
    assert np.allclose(served["embedding"][0], np.arange(4))
    assert served["pixels"][0] == b"png"
    assert frame[frame["role"] == "shadow"]["embedding"].isna().all()
    assert frame["label"].isna().all()


def test_a_window_holds_what_was_made_in_it_and_no_more_columns_than_asked(journal: Journal) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ids = [made(noon + timedelta(hours=step)) for step in range(-24, 25, 6)]
    journal.spool.add([prediction(id) for id in ids])
    journal.ship()
    frame = journal.logbook.read(noon - timedelta(hours=6), noon + timedelta(hours=6), ["confidence"])
    assert frame["id"].tolist() == ids[3:5]
    assert set(frame) == {"id", "time", "version", "role", "confidence", "label"}


def test_a_store_that_is_away_fills_the_spool_and_catches_up(tmp_path: Path) -> None:
    store = Away(tmp_path / "store")
    journal = Journal(tmp_path / "log", Logbook(store), 30)
    rows = [prediction() for _ in range(30)]
    journal.spool.add(rows[:10])
    with pytest.raises(StoreUnreachable):
        journal.ship()
    journal.spool.add(rows[10:])
    assert journal.spool.waiting() == (30, rows[0].id)
    assert journal.label(rows[0].id, 2) is None  # a prediction that still waits is known here
    with pytest.raises(StoreUnreachable):  # whether it is on record cannot be said now
        journal.label(uuid6.uuid7().hex, 2)
    store.away = False
    assert journal.ship() == 30
    frame = journal.logbook.read(LONG_AGO, FAR_AHEAD)
    assert sorted(frame["id"]) == sorted(row.id for row in rows)
    assert frame.set_index("id").loc[rows[0].id, "label"] == 2


def test_a_shipment_that_was_cut_off_after_its_file_goes_out_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log", Logbook(LocalStore(tmp_path / "store")), 30)
    journal.spool.add([prediction() for _ in range(10)])
    ship_and_die(journal)
    journal.spool.add([prediction() for _ in range(5)])
    journal.ship()
    assert len(journal.logbook.read(LONG_AGO, FAR_AHEAD)) == 15


WRITER = """
import sys, uuid6
import numpy as np
from pathlib import Path
from components.journal import Journal, Logbook
from components.predictions import Prediction
from components.store import LocalStore

root = Path(sys.argv[1])
journal = Journal(root / "log", Logbook(LocalStore(root / "store")), 30)
journal.start(0.05, lambda count, age: None)
while True:
    id = uuid6.uuid7().hex
    journal.spool.add([Prediction(id, "1", "champion", np.full(7, 1 / 7, np.float32), False, 1.0, 1.0, 1.0, 48, 1.0)])
    print(id, flush=True)
"""


@pytest.mark.parametrize("seconds", [0.15, 0.4, 0.9])
def test_kill_9_loses_nothing_that_was_acknowledged_and_doubles_nothing(tmp_path: Path, seconds: float) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    acknowledged: list[str] = []
    for _ in range(2):
        writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) for _ in range(2)]
        first = [writer.stdout.readline() for writer in writers]  # type: ignore[union-attr]
        time.sleep(seconds)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for line, writer in zip(first, writers, strict=True):
            rest = writer.communicate()[0]
            acknowledged += [id for id in (line + rest).split("\n")[:-1] if id]
    journal = Journal(tmp_path / "log", Logbook(LocalStore(tmp_path / "store")), 30)
    journal.ship()
    kept = Counter(journal.logbook.read(LONG_AGO, FAR_AHEAD)["id"])
    assert len(acknowledged) > 20
    assert set(acknowledged) <= set(kept)
    assert max(kept.values()) == 1


def test_a_shadow_that_comes_after_its_champion_has_gone_replaces_nothing(journal: Journal) -> None:
    row = prediction()
    journal.spool.add([row])
    journal.ship()
    journal.spool.add([prediction(row.id, role="shadow")])
    journal.ship()
    assert sorted(journal.logbook.read(LONG_AGO, FAR_AHEAD)["role"]) == ["champion", "shadow"]


def test_many_workers_ship_one_at_a_time(journal: Journal, tmp_path: Path) -> None:
    journal.spool.add([prediction()])
    with FileLock(tmp_path / "log" / "spool.lock", is_singleton=False), pytest.raises(Timeout):
        journal.ship()
    assert journal.ship() == 1


def test_figures_that_cannot_be_told_do_not_end_the_shipping(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log", Logbook(LocalStore(tmp_path / "store")), 30)
    journal.spool.add([prediction()])
    told: list[int] = []
    again = threading.Event()

    def tell(waiting: int, oldest: float) -> None:
        told.append(waiting)
        if len(told) == 1:
            raise PermissionError("drift/latest.json")
        again.set()
        threading.Event().wait()  # the thread has seen enough

    journal.start(0.01, tell)
    assert again.wait(60)
    assert journal.logbook.read(LONG_AGO, FAR_AHEAD).shape[0] == 1


def test_labels_have_a_defined_answer_each(journal: Journal) -> None:
    here, stored = prediction(), prediction()
    journal.spool.add([stored])
    journal.ship()
    journal.spool.add([here])
    for row in (here, stored):
        assert journal.label(row.id, 3) is None
        assert journal.label(row.id, 3) == 3
        assert journal.label(row.id, 4) == 3  # the first one stays
        assert journal.label(row.id, 4, replace=True) == 3
        assert journal.label(row.id, 5) == 4
    for unknown in ("", "x", "0" * 32, "g" * 32, uuid6.uuid7().hex, uuid6.uuid6().hex):
        with pytest.raises(PredictionNotFound, match="on record"):
            journal.label(unknown, 3)
    journal.ship()
    labels = journal.logbook.read(LONG_AGO, FAR_AHEAD).set_index("id")["label"]
    assert labels.to_dict() == {here.id: 4, stored.id: 4}


def test_files_of_others_beside_the_logs_are_left_alone(journal: Journal) -> None:
    """Marks of a Spark job, a table's statistics, a picture somebody put there."""
    row = prediction()
    journal.spool.add([row])
    journal.ship()
    journal.label(row.id, 3)
    journal.ship()
    store, days = journal.logbook.store, [f"{kind}/day={day_of(row.id)}" for kind in ("predictions", "labels")]
    others = [f"{day}/{name}" for day in days for name in ("_SUCCESS", "_SUCCESS.crc", "part-0.parquet", "a-b.parquet")]
    others += ["predictions/_SUCCESS", "labels/_SUCCESS"]
    for name in others:
        store.put_bytes(name, b"not ours")
    assert journal.label(row.id, 4) == 3
    assert journal.spool.find(row.id) == []
    assert len(journal.show(row.id)) == 1
    assert journal.logbook.read(LONG_AGO, FAR_AHEAD)["label"].tolist() == [3]
    assert journal.logbook.told(LONG_AGO, FAR_AHEAD) == {row.id: 3}
    assert journal.logbook.rows(pa.array([row.id]), ["version"]).num_rows == 1
    assert set(journal.logbook.prune("9999-12-31")).isdisjoint(others)
    assert set(others) <= set(store.list(""))


def label_of_one_machine(store: Store, tmp_path: Path) -> tuple[list[Journal], str]:
    """Two machines, and the id of a prediction that the first has shipped with the label 3."""
    machines = [Journal(tmp_path / name, Logbook(store), 30) for name in ("one", "other")]
    row = prediction()
    machines[0].spool.add([row])
    machines[0].label(row.id, 3)
    machines[0].ship()
    return machines, row.id


def test_a_label_from_another_machine_is_known_once_it_is_shipped(store: Store, tmp_path: Path) -> None:
    (one, other), id = label_of_one_machine(store, tmp_path)
    assert other.label(id, 5) == 3
    assert other.label(id, 5, replace=True) == 3
    other.ship()
    assert one.logbook.read(LONG_AGO, FAR_AHEAD)["label"].tolist() == [5]


def test_a_label_told_again_wins_over_another_machines(store: Store, tmp_path: Path) -> None:
    (one, other), id = label_of_one_machine(store, tmp_path)
    other.label(id, 4, replace=True)
    other.ship()
    assert one.label(id, 3, replace=True) == 3
    one.ship()
    assert one.logbook.label(id) == 3


def test_a_label_replaced_while_the_first_is_on_its_way_goes_the_next_time(journal: Journal) -> None:
    row = prediction()
    journal.spool.add([row])
    journal.label(row.id, 3)
    add_labels = journal.logbook.add_labels

    def replaced_meanwhile(labels: list[Label]) -> None:
        add_labels(labels)
        assert journal.label(row.id, 4, replace=True) == 3

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(journal.logbook, "add_labels", replaced_meanwhile)
        journal.ship()
    assert journal.logbook.label(row.id) == 3
    journal.ship()
    assert journal.logbook.label(row.id) == 4
    assert journal.spool.unshipped_labels() == []


def test_of_many_labels_at_once_one_is_first(journal: Journal) -> None:
    row = prediction()
    journal.spool.add([row])
    answers: list[tuple[int, int | None]] = []
    threads = [
        threading.Thread(target=lambda k=k: answers.append((k, journal.label(row.id, k)))) for k in range(len(CLASSES))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = [label for label, earlier in answers if earlier is None]
    assert len(first) == 1
    assert {earlier for _, earlier in answers} == {None, first[0]}


def test_what_is_older_than_it_is_kept_goes(journal: Journal) -> None:
    old, new = prediction(made(datetime.now(UTC) - timedelta(days=40))), prediction()
    journal.spool.add([old, new])
    for row in (old, new):
        journal.label(row.id, 1)
    journal.ship()
    assert len(journal.prune()) == 2  # a file of predictions and one of labels
    assert journal.logbook.read(LONG_AGO, FAR_AHEAD)["id"].tolist() == [new.id]
    with pytest.raises(PredictionNotFound):
        journal.label(old.id, 1)
    assert Journal(journal.spool.file.parent, journal.logbook, 0).prune() == []


def test_a_label_that_still_waits_outlives_a_prune(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log", Logbook(LocalStore(tmp_path / "store")), 30)
    old = prediction(made(datetime.now(UTC) - timedelta(days=40)))
    journal.spool.add([old])
    journal.label(old.id, 1)
    journal.prune()
    assert [(label.id, label.label) for label in journal.spool.unshipped_labels()] == [(old.id, 1)]
    journal.ship()
    journal.prune()
    assert journal.spool.label(old.id) is None


def test_a_prune_takes_dataset_versions_of_what_is_older_than_it_is_kept(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    (tmp_path / "version").mkdir()
    uris = {name: store.put_folder(tmp_path / "version", f"datasets/{name}") for name in ("old", "new")}
    lineage.note(store, "old", [uris["old"]], [made(datetime.now(UTC) - timedelta(days=40))])
    lineage.note(store, "new", [uris["new"]], [made(datetime.now(UTC))])
    Journal(tmp_path / "log", Logbook(store), 30).prune()
    assert (store.exists(uris["old"]), store.exists(uris["new"])) == (False, True)


def test_a_full_disk_is_an_error_of_sqlite_and_leaves_the_rows_that_were_there(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    spool.add([prediction()])
    with spool._open() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")  # what SQLite meets on a full disk
    with pytest.raises(sqlite3.OperationalError, match="full"):
        spool.add([prediction(pixels=bytes(100_000))])
    assert spool.waiting()[0] == 1


@given(st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_id_tells_when_it_was_made_and_sorts_by_it(moment: datetime, data: st.DataObject) -> None:
    moment = moment.replace(tzinfo=UTC)
    id = made(moment)
    found = made_at(id)
    assert found is not None
    assert abs(found - moment) <= timedelta(milliseconds=1)
    assert day_of(id) == found.date().isoformat()
    later = moment + timedelta(milliseconds=data.draw(st.integers(2, 10**9)))
    assert id < made(later)


def test_the_first_kept_day_is_counted_in_utc() -> None:
    assert retention_edge(30, datetime(2026, 3, 31, 12, tzinfo=UTC)) == "2026-03-01"
