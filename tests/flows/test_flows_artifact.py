"""A registered model's files on this machine: one copy a version, which goes when nobody asks for it."""

import os
import time
from pathlib import Path

import pytest

from components.registry import ModelVersion
from components.store import UNREAD_S
from flows import context

ONE, TWO = (
    ModelVersion("faces", number, (), None, "2026-01-01T00:00:00.000+00:00", number * 64, "", {}, {}) for number in "12"
)


class Shelf:
    """A registry of models of a few bytes."""

    def __init__(self) -> None:
        self.fetched: list[str] = []

    def download(self, version: str, into: Path) -> Path:
        into.mkdir()
        (into / "model.onnx").write_text(version)
        self.fetched.append(version)
        return into


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    found = Shelf()
    monkeypatch.setattr(context, "registry", lambda: found)
    return found


def test_it_is_fetched_once_and_nothing_else_is_left(shelf: Shelf) -> None:
    folder = context.artifact(ONE)
    assert (folder / "model.onnx").read_text() == "1"
    assert context.artifact(ONE) == folder
    assert shelf.fetched == ["1"]
    assert list(folder.parent.iterdir()) == [folder]


def test_one_that_nobody_has_asked_for_in_weeks_goes_when_another_comes(shelf: Shelf) -> None:
    then = time.time() - UNREAD_S - 60
    old = context.artifact(ONE)
    os.utime(old, (then, then))
    new = context.artifact(TWO)
    assert list(new.parent.iterdir()) == [new]


def test_one_that_is_asked_for_stays(shelf: Shelf) -> None:
    then = time.time() - UNREAD_S - 60
    os.utime(context.artifact(ONE), (then, then))
    old = context.artifact(ONE)
    context.artifact(TWO)
    assert old.is_dir()
    assert shelf.fetched == ["1", "2"]
