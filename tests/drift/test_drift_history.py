"""Reports in the store: which are read again, and which go."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from components.drift import DriftPolicy, DriftReport, detect, history
from components.drift.history import earlier, folder_of, keep, newest, publish
from components.store import INDEX, LocalStore

Report = Callable[..., DriftReport]


@pytest.fixture(scope="module")
def report(reference, make_window) -> Report:
    """Number -> the report of so late a window."""
    drifted = detect(reference, make_window(darker=20), DriftPolicy())
    return lambda number, version="3": replace(
        drifted, version=version, window=f"{2 * number:032x}-{2 * number + 1:032x}"
    )


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def put(store: LocalStore, tmp_path: Path, report: DriftReport) -> str:
    folder = tmp_path / "work" / report.window
    folder.mkdir(parents=True, exist_ok=True)
    return keep(store, report, folder)


def windows(store: LocalStore, version: str = "3", most: int = 99) -> list[str]:
    return [report.window for report in earlier(store, version, most)]


def test_the_newest_are_read_oldest_first(store: LocalStore, tmp_path: Path, report: Report) -> None:
    reports = [report(number) for number in (2, 11, 1, 10)]
    for each in reports:
        put(store, tmp_path, each)
    put(store, tmp_path, report(12, version="4"))
    assert windows(store, most=2) == [report(10).window, report(11).window]
    assert windows(store) == [report(number).window for number in (1, 2, 10, 11)]
    assert windows(store, version="9") == []


def test_one_that_a_killed_run_left_takes_no_ones_place(store: LocalStore, tmp_path: Path, report: Report) -> None:
    for number in (1, 2, 3):
        put(store, tmp_path, report(number))
    store.delete(f"{folder_of('3', report(3).window)}/{INDEX}")
    assert windows(store, most=1) == [report(2).window]


def test_the_oldest_make_room_and_what_a_killed_run_left_with_them(
    store: LocalStore, tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KEPT", 3)
    publish(store, report(1))
    for number, version in ((1, "9"), (2, "9"), (3, "9"), (4, "10"), (5, "10")):
        put(store, tmp_path, report(number, version))
        if number == 2:
            store.delete(f"{folder_of(version, report(number).window)}/{INDEX}")
    assert windows(store, "9") == [report(3).window]
    assert windows(store, "10") == [report(4).window, report(5).window]
    assert report(2).window not in " ".join(store.list("drift/"))
    assert newest(store) == report(1)


def test_an_old_window_that_is_looked_at_anew_stays(
    store: LocalStore, tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KEPT", 2)
    for number in (5, 6, 1):
        uri = put(store, tmp_path, report(number))
    assert store.exists(uri)
    assert windows(store) == [report(1).window, report(6).window]
