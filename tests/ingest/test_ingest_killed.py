"""An ingest killed with SIGKILL at any moment, in a real process, and what the next run finds and makes."""

import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.dataset import open_dataset
from components.errors import StoreNotFound
from components.ingest import IngestOptions, ingest, ingest_to_store
from components.ingest.records import tell_nobody
from components.store import ABANDONED_S, LocalStore, open_store
from tests.conftest import and_leave

KILLS = 12


@dataclass(frozen=True)
class Desk:
    """A source, and where its versions go."""

    source: Path
    root: Path

    @property
    def store(self) -> LocalStore:
        return open_store(str(self.root / "store"))

    def ingest(self, store: LocalStore | None = None, report=tell_nobody) -> str:
        uri, _ = ingest_to_store(self.source, store or self.store, self.root / "work", IngestOptions(), report)
        return uri

    def killed(self, act: Callable[[], object], delay: float | None = None, ready=None) -> int:
        """Act in a child, kill it so long after it is ready; its exit status."""
        child = multiprocessing.get_context("fork").Process(target=and_leave, args=(act,))
        child.start()
        if ready is not None:
            ready.wait(20)
        if delay is not None:
            child.join(delay)
            with contextlib.suppress(ProcessLookupError):  # it was quicker
                os.kill(child.pid, signal.SIGKILL)
        child.join(60)
        return child.exitcode

    def require_all_or_nothing(self, fingerprint: str) -> bool:
        """What the store claims to hold is whole; whether it holds the version."""
        name = f"datasets/{fingerprint[:16]}"
        folders = {path.name for path in (self.root / "store").glob("datasets/*")}
        assert {folder for folder in folders if not folder.startswith(".")} <= {fingerprint[:16]}
        if not self.store.exists(name):
            with pytest.raises(StoreNotFound):
                self.store.fetch(name, self.root / "cache")
            return False
        version = open_dataset(self.store.fetch(name, self.root / "cache"), verify=True)
        assert version.info.fingerprint == fingerprint
        return True

    def require_the_next_run_succeeds(self, fingerprint: str) -> None:
        assert self.ingest() == str(self.root / "store" / "datasets" / fingerprint[:16])
        assert self.require_all_or_nothing(fingerprint)


class TellingStore(LocalStore):
    """Says when a version begins to go in."""

    def __init__(self, root: Path, begun) -> None:
        super().__init__(root)
        self.begun = begun

    def put_folder(self, local: Path, name: str) -> str:
        self.begun.set()
        return super().put_folder(local, name)


@pytest.fixture
def desk(drawn, tmp_path: Path) -> Desk:
    """An archive of an image folder: unpacked, read, searched for duplicates, written, stored."""
    archive = shutil.make_archive(str(tmp_path / "faces"), "zip", drawn.kaggle(tmp_path / "faces"))
    return Desk(Path(archive), tmp_path)


def test_killed_at_random_moments_it_leaves_a_whole_version_or_none(desk, known) -> None:
    desk.ingest()  # modules are loaded once, in the parent
    desk.store.delete(f"datasets/{known[:16]}")
    start = time.perf_counter()
    assert desk.killed(desk.ingest) == 0
    whole = time.perf_counter() - start
    dice, statuses = random.Random(0), []
    for moment in range(KILLS):
        desk.store.delete(f"datasets/{known[:16]}")
        statuses.append(desk.killed(desk.ingest, delay=whole * (moment + dice.random()) / KILLS))
        assert desk.require_all_or_nothing(known) or statuses[-1] == -signal.SIGKILL
    assert statuses.count(-signal.SIGKILL) >= 3, statuses
    desk.require_the_next_run_succeeds(known)


def test_killed_while_the_version_goes_into_the_store_it_leaves_a_whole_version_or_none(desk, known) -> None:
    version = ingest(desk.source, desk.root / "work", IngestOptions()).folder
    start = time.perf_counter()
    desk.store.put_folder(version, f"datasets/{known[:16]}")
    whole = time.perf_counter() - start
    dice, statuses = random.Random(1), []
    for moment in range(KILLS):
        desk.store.delete(f"datasets/{known[:16]}")
        begun = multiprocessing.get_context("fork").Event()
        store = TellingStore(desk.store.root, begun)
        delay = whole * (moment + dice.random()) / KILLS
        statuses.append(desk.killed(lambda store=store: desk.ingest(store), delay, begun))
        desk.require_all_or_nothing(known)
    assert -signal.SIGKILL in statuses, statuses
    desk.require_the_next_run_succeeds(known)


STAGES = ("archive", "images", "perceptual hashes", "near-duplicates")


@pytest.mark.parametrize("last", [False, True], ids=["begins", "ends"])
@pytest.mark.parametrize("stage", STAGES)
def test_killed_as_a_stage_begins_or_ends_it_leaves_nothing_in_the_store(stage, last, desk, known) -> None:
    def die(name: str, done: int, total: int) -> None:
        if name == stage and done == (total if last else 0):
            os.kill(os.getpid(), signal.SIGKILL)

    assert desk.killed(lambda: desk.ingest(report=die)) == -signal.SIGKILL
    assert not desk.require_all_or_nothing(known)
    desk.require_the_next_run_succeeds(known)


@pytest.mark.parametrize("damage", ["index", "images.npy", "dataset.json"])
def test_a_version_damaged_in_the_store_is_made_again(damage, desk, known) -> None:
    folder = Path(desk.ingest())
    if damage == "index":
        (folder / "_index.json").unlink()
    else:
        (folder / damage).write_bytes((folder / damage).read_bytes()[:-9])
    desk.require_the_next_run_succeeds(known)


def test_what_killed_runs_left_is_swept_after_a_day_and_not_before(desk, known) -> None:
    def die(name: str, done: int, total: int) -> None:
        if name == "near-duplicates":
            os.kill(os.getpid(), signal.SIGKILL)

    assert desk.killed(lambda: desk.ingest(report=die)) == -signal.SIGKILL
    left = list((desk.root / "work").iterdir())
    assert len(left) == 2, "its scratch and half a version"
    desk.ingest()
    then = time.time() - ABANDONED_S - 60
    for folder in left:
        assert folder.exists()  # another run may be at work in it
        os.utime(folder, (then, then))
    desk.require_the_next_run_succeeds(known)
    assert list((desk.root / "work").iterdir()) == []


def test_two_ingests_at_once_end_in_one_whole_version(desk, known) -> None:
    children = [multiprocessing.get_context("fork").Process(target=and_leave, args=(desk.ingest,)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    assert desk.require_all_or_nothing(known)
