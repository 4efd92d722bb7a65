"""A promotion killed with SIGKILL before each of its writes, in a real process, and what the next run makes of it."""

import dataclasses
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from components.registry import Registry, history, reconcile
from components.store import LocalStore
from tests.conftest import and_leave


class Life:
    """Writes a process may still make; before the next one it dies as by `kill -9`."""

    def __init__(self, writes: int) -> None:
        self.left = writes

    def spend(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


class MortalRegistry(Registry):
    """A registry whose writes spend a life."""

    def __init__(self, registry: Registry, life: Life) -> None:
        super().__init__(registry.tracking_uri, registry.artifact_root, registry.model_name)
        self.life = life

    def set_alias(self, alias: str, version: str) -> None:
        self.life.spend()
        super().set_alias(alias, version)

    def delete_alias(self, alias: str) -> None:
        self.life.spend()
        super().delete_alias(alias)

    def set_tag(self, version: str, key: str, value: str) -> None:
        self.life.spend()
        super().set_tag(version, key, value)


class MortalStore(LocalStore):
    """A store whose writes spend a life."""

    def __init__(self, root: Path, life: Life) -> None:
        super().__init__(root)
        self.life = life

    def create(self, name: str, data: bytes) -> bool:
        self.life.spend()
        return super().create(name, data)


WRITES = 7
"""Of promoting the challenger over a champion: the entry, three aliases, three tags."""


def killed(desk, writes, step):
    """Take a step in a child that may make so many writes; returns the child's exit status."""
    life = Life(writes)
    mortal = dataclasses.replace(
        desk, registry=MortalRegistry(desk.registry, life), store=MortalStore(desk.root / "store", life)
    )
    child = multiprocessing.get_context("fork").Process(target=and_leave, args=(step, mortal))
    child.start()
    child.join()
    return child.exitcode


@pytest.mark.parametrize("writes", range(WRITES + 1))
def test_a_killed_promotion_is_undone_or_finished_by_the_next_run(desk, writes):
    desk.promote("1", desk.decide("1", None))
    decision = desk.decide("4", "1")
    status = killed(desk, writes, lambda mortal: mortal.promote("4", decision))
    assert status == (0 if writes == WRITES else -signal.SIGKILL)
    assert desk.aliases()["champion"] in ("1", "4")  # at no moment is there none
    champion = reconcile(desk.registry, desk.store, lock_folder=desk.locks)
    if writes == 0:
        assert (champion.version, desk.actions()) == ("1", [("promote", "1")])
        desk.promote("4", decision)
    assert desk.actions() == [("promote", "1"), ("promote", "4")]
    assert desk.aliases() == {"champion": "4", "previous": "1"}
    assert desk.statuses() == {"1": "retired", "2": "registered", "3": "registered", "4": "champion"}
    assert desk.registry.get("4").tags["ferline.decision"] == "decisions/4.json"


@pytest.mark.parametrize("writes", [1, 2])
def test_a_killed_rollback_is_finished_by_the_next_run(desk, writes):
    desk.promote("1", desk.decide("1", None))
    desk.promote("2", desk.decide("2", "1"))
    assert killed(desk, writes, lambda mortal: mortal.rollback()) == -signal.SIGKILL
    assert desk.promote("4", desk.decide("4", "1")).from_version == "1"
    assert desk.aliases() == {"champion": "4", "previous": "1"}


@pytest.mark.parametrize("writes", [0, 1])
def test_a_killed_registration_is_finished_by_the_next_run(empty_desk, package, writes):
    new = package(1)
    assert killed(empty_desk, writes, lambda mortal: mortal.register(new)) == -signal.SIGKILL
    empty_desk.register(new)
    assert [e.action for e in history(empty_desk.store, "faces")] == ["register"]
    assert empty_desk.aliases() == {"challenger": "1"}


def test_an_alias_moved_by_hand_is_put_back(desk):
    desk.promote("1", desk.decide("1", None))
    desk.registry.set_alias("champion", "2")
    assert reconcile(desk.registry, desk.store, lock_folder=desk.locks).version == "1"


def test_a_registry_made_anew_is_not_moved_by_the_old_ledger(desk, empty_desk, package):
    """Same version numbers, other models."""
    desk.promote("1", desk.decide("1", None))
    empty_desk.registry.register(package(9))
    assert reconcile(empty_desk.registry, desk.store, lock_folder=desk.locks) is None
    assert empty_desk.aliases() == {}
