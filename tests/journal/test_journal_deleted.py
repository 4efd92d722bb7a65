"""A deleted prediction stays deleted, whatever other machines, shipments and shadows bring back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uuid6

from components.errors import PredictionNotFound
from components.journal import Journal, Logbook, lineage
from components.store import LocalStore, Store
from tests.journal.conftest import FAR_AHEAD, LONG_AGO, made, prediction, ship_and_die


def test_a_deleted_prediction_is_gone_everywhere(journal: Journal) -> None:
    pixels = b"a face, as a PNG"
    waiting, stored, kept = prediction(pixels=pixels), prediction(pixels=pixels), prediction()
    journal.spool.add([stored, kept])
    journal.label(stored.id, 2)
    journal.ship()
    journal.spool.add([waiting, prediction(waiting.id, role="shadow")])
    assert journal.delete(waiting.id) == 2
    assert journal.delete(stored.id) == 1
    with pytest.raises(PredictionNotFound):
        journal.delete(stored.id)
    journal.ship()
    assert journal.logbook.read(LONG_AGO, FAR_AHEAD)["id"].tolist() == [kept.id]
    everything = [journal.logbook.store.read_bytes(name) for name in journal.logbook.store.list("")]
    everything += [file.read_bytes() for file in journal.spool.file.parent.iterdir()]
    assert not any(pixels in data for data in everything)
    assert journal.spool.label(stored.id) is None
    assert journal.logbook.label(stored.id) is None


class Interrupted(LocalStore):
    """A store in which something else happens between one machine's reading of a file and its writing."""

    meanwhile: Callable[[], object] | None = None

    def put_bytes(self, name: str, data: bytes) -> str:
        happens = self.meanwhile
        if happens and name.startswith("predictions/"):
            self.meanwhile = None
            happens()
        return super().put_bytes(name, data)


def test_what_two_machines_delete_at_once_is_gone_after_the_next_prune(tmp_path: Path) -> None:
    store = Interrupted(tmp_path / "store")
    one, other = (Journal(tmp_path / name, Logbook(store), 0) for name in ("one", "other"))
    rows = [prediction() for _ in range(3)]
    one.spool.add(rows)
    one.ship()
    store.meanwhile = lambda: other.delete(rows[1].id)
    one.delete(rows[0].id)
    assert one.logbook.has(rows[1].id), "the file was read before it went from it"
    (tmp_path / "version").mkdir()
    version = store.put_folder(tmp_path / "version", "datasets/made-of-it")
    lineage.note(store, "made-of-it", [version], [rows[1].id])
    assert one.prune() == []
    assert one.logbook.read(LONG_AGO, FAR_AHEAD)["id"].tolist() == [rows[2].id]
    assert not store.exists(version)


def test_a_file_that_another_machine_has_just_emptied_is_no_error(tmp_path: Path, monkeypatch) -> None:
    store = LocalStore(tmp_path / "store")
    one, other = (Journal(tmp_path / name, Logbook(store), 0) for name in ("one", "other"))
    row = prediction()
    one.spool.add([row])
    one.ship()
    listed = store.list("predictions/")
    other.delete(row.id)
    monkeypatch.setattr(store, "list", lambda prefix: [name for name in listed if name.startswith(prefix)])
    assert one.logbook.delete({row.id}) == []


def test_a_shipment_sent_again_leaves_out_what_another_machine_has_deleted(store: Store, tmp_path: Path) -> None:
    one, other = (Journal(tmp_path / name, Logbook(store), 30) for name in ("one", "other"))
    pixels = b"a face, as a PNG"
    rows = [prediction(pixels=pixels), prediction()]
    one.spool.add(rows)
    ship_and_die(one)
    assert other.delete(rows[0].id) == 1
    assert one.ship() == 1
    assert one.logbook.read(LONG_AGO, FAR_AHEAD)["id"].tolist() == [rows[1].id]
    assert not any(pixels in file.read_bytes() for file in one.spool.file.parent.iterdir())


@pytest.mark.parametrize("shipped", [False, True], ids=["in the spool", "in the store"])
def test_a_shadow_that_answers_after_the_deletion_is_not_kept(journal: Journal, shipped: bool) -> None:
    pixels = b"a face, as a PNG"
    row = prediction(pixels=pixels)
    journal.spool.add([row])
    if shipped:
        journal.ship()
    journal.delete(row.id)
    journal.spool.add([prediction(row.id, role="shadow", pixels=pixels)])
    assert journal.ship() == 0
    assert journal.logbook.predictions(row.id).empty
    assert journal.spool.find(row.id) == []
    assert not any(pixels in file.read_bytes() for file in journal.spool.file.parent.iterdir())


def test_what_a_backup_brings_back_is_deleted_again(journal: Journal) -> None:
    """Also where the deletion was some weeks ago."""
    rows, store = [prediction(), prediction()], journal.logbook.store
    journal.spool.add(rows)
    journal.ship()
    before = {name: store.read_bytes(name) for name in store.list("predictions/")}
    journal.delete(rows[0].id)
    (mark,) = store.list("deleted/")
    day = (datetime.now(UTC) - timedelta(days=20)).date().isoformat()
    store.delete(mark)
    store.put_bytes(f"deleted/day={day}/{rows[0].id}", b"")
    journal.prune()
    for name, data in before.items():
        store.put_bytes(name, data)
    assert journal.delete_again() == {rows[0].id}
    assert journal.logbook.read(LONG_AGO, FAR_AHEAD)["id"].tolist() == [rows[1].id]


def test_the_mark_of_a_deletion_goes_with_the_predictions_of_its_day(journal: Journal) -> None:
    row, store = prediction(), journal.logbook.store
    journal.spool.add([row])
    journal.delete(row.id)
    with pytest.raises(PredictionNotFound):
        journal.delete(uuid6.uuid7().hex)  # what was never there leaves no mark
    old, others = f"deleted/day=2026-01-01/{made(datetime(2026, 1, 1, tzinfo=UTC))}", "deleted/_SUCCESS"
    for name in (old, others):
        store.put_bytes(name, b"")
    journal.prune()
    assert {name.rpartition("/")[2] for name in store.list("deleted/")} == {row.id, "_SUCCESS"}
