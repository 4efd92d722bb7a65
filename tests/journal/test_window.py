"""A window of the log: one version's live predictions, drawn where they are many, with labels by when they came."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from components.journal import Logbook, lineage, read_window
from components.predictions import Label, Prediction, id_at, made_at
from components.store import LocalStore

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RNG = np.random.default_rng(0)


def prediction(seconds: float, version: str = "3", role: str = "champion", id: str = "") -> Prediction:
    sure = RNG.dirichlet(np.ones(7)).astype(np.float32)
    embedding = RNG.normal(size=8).astype(np.float32)
    id = id or id_at(NOON + timedelta(seconds=seconds), RNG.bytes(10))
    return Prediction(id, version, role, sure, False, 100.0, 50.0, 900.0, 48, 3.0, embedding, "door")


@pytest.fixture
def logbook(tmp_path: Path) -> Logbook:
    return Logbook(LocalStore(tmp_path))


def write(logbook: Logbook, rows: list[Prediction]) -> None:
    rows = sorted(rows, key=lambda row: row.id)
    logbook.add("2026-11-20", f"{rows[0].id}-{rows[-1].id}-{len(rows)}", rows)


def test_an_id_tells_its_moment_and_ids_of_one_moment_differ() -> None:
    ids = {id_at(NOON, RNG.bytes(10)) for _ in range(100)}
    assert len(ids) == 100
    assert {made_at(id) for id in ids} == {NOON}


def test_only_live_predictions_of_the_version_in_the_time_are_read(logbook: Logbook) -> None:
    ours = [prediction(k, role=("champion", "canary", "pinned")[k % 3]) for k in range(10)]
    shadow = prediction(0, "4", "shadow", ours[0].id)
    write(logbook, [*ours, shadow, prediction(2, "2"), prediction(3, role="offline"), prediction(9999)])
    window = read_window(logbook, "3", NOON, NOON + timedelta(hours=1), 100)
    assert list(window.table["id"]) == [row.id for row in ours]
    assert window.name == f"{ours[0].id}-{ours[-1].id}"
    assert np.allclose(window.embedding, np.stack([row.embedding for row in ours]))
    assert np.allclose(window.probabilities, np.stack([row.probabilities for row in ours]))
    last = read_window(logbook, "3", NOON, NOON + timedelta(hours=1), 100, last=4)
    assert list(last.table["id"]) == [row.id for row in ours[-4:]]


def test_a_large_window_is_drawn_from_evenly_and_the_same_each_time(logbook: Logbook) -> None:
    rows = [prediction(k) for k in range(300)]
    for part in (rows[:100], rows[100:]):
        write(logbook, part)
    one, other = (read_window(logbook, "3", NOON, NOON + timedelta(hours=1), 60) for _ in range(2))
    assert (len(one.table), len(one.drawn)) == (300, 60)
    assert (one.drawn == other.drawn).all()
    assert 90 < one.drawn.mean() < 210
    assert np.allclose(one.embedding, np.stack([rows[k].embedding for k in one.drawn]))


def test_labels_count_when_they_come_and_the_newest_stays(logbook: Logbook) -> None:
    rows = [prediction(k) for k in range(5)]
    write(logbook, rows)
    soon, late = NOON + timedelta(minutes=1), NOON + timedelta(days=3)
    logbook.add_labels([Label(rows[0].id, soon, 1), Label(rows[1].id, soon, 2)])
    logbook.add_labels([Label(rows[1].id, late, 4), Label(rows[2].id, late, 5)])
    first = read_window(logbook, "3", NOON, NOON + timedelta(hours=1), 100)
    assert dict(zip(first.labelled["id"], first.labelled["label"], strict=True)) == {rows[0].id: 1, rows[1].id: 2}
    second = read_window(logbook, "3", late, late + timedelta(hours=1), 100)
    assert second.table.empty
    assert dict(zip(second.labelled["id"], second.labelled["label"], strict=True)) == {rows[1].id: 4, rows[2].id: 5}
    assert np.allclose(second.labelled_probabilities, np.stack([rows[k].probabilities for k in (1, 2)]))


def test_labels_of_a_window_that_begins_by_another_clock_are_all_there(logbook: Logbook) -> None:
    rows = [prediction(0)]
    write(logbook, rows)
    logbook.add_labels([Label(rows[0].id, NOON + timedelta(minutes=1), 1)])
    since = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert logbook.told(since, since + timedelta(hours=1)) == {rows[0].id: 1}


def test_one_without_an_embedding_leaves_the_window_without(logbook: Logbook) -> None:
    bare = prediction(1)
    bare = Prediction(bare.id, "3", "champion", bare.probabilities, False, 1.0, 1.0, 1.0, 48, 1.0)
    write(logbook, [prediction(0), bare])
    assert read_window(logbook, "3", NOON, NOON + timedelta(hours=1), 100).embedding is None


def test_nothing_is_an_empty_window(logbook: Logbook) -> None:
    window = read_window(logbook, "3", NOON, NOON + timedelta(hours=1), 100)
    assert (len(window.table), len(window.drawn), len(window.labelled), window.embedding) == (0, 0, 0, None)


def test_what_a_model_has_learned_from_outlives_a_deletion_and_other_data_does_not(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / "images.npy").write_bytes(b"faces")
    uris = {name: store.put_folder(tmp_path / "version", f"datasets/{name}") for name in ("old", "new")}
    for name, uri in uris.items():
        lineage.note(store, name, [uri], ["one", "two"])
    lineage.note(store, "shared", [uris["old"]], ["four"])
    lineage.mark_trained(store, "old")
    assert lineage.forget(store, "four") == [], "the trained one names it too"
    assert lineage.forget(store, "three") == []
    assert lineage.forget(store, "one") == [uris["new"]]
    assert (store.exists(uris["old"]), store.exists(uris["new"])) == (True, False)


def made_of(store: LocalStore, tmp_path: Path, name: str, ids: list[str]) -> str:
    """A dataset version of some predictions; its URI."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "images.npy").write_bytes(name.encode())
    uri = store.put_folder(tmp_path / name, f"datasets/{name}")
    lineage.note(store, name, [uri], ids)
    return uri


def test_what_was_learned_stays_learned_when_the_same_version_is_made_again(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    uri = made_of(store, tmp_path, "grown", ["one", "two"])
    assert lineage.learned(store) == set()
    lineage.mark_trained(store, "grown")
    lineage.mark_trained(store, "of no prediction")
    lineage.note(store, "grown", [uri], ["one", "two"])
    assert lineage.learned(store) == {"one", "two"}
    assert lineage.discard(store, "grown") == lineage.forget(store, "one") == []
    assert store.exists(uri)


def test_pictures_older_than_they_are_kept_leave_untrained_versions_too(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    uri = made_of(store, tmp_path, "failed", [prediction(0).id, prediction(5).id])
    day = f"{NOON:%Y-%m-%d}"
    assert lineage.expire(store, day) == []
    assert lineage.expire(store, f"{NOON + timedelta(days=1):%Y-%m-%d}") == [uri]
    assert not store.exists(uri)


def test_a_deletion_takes_the_mark_of_what_is_being_made(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    mark = lineage.begin(store)
    assert store.exists(mark)
    lineage.forget(store, "anybody")
    assert not store.exists(mark)
