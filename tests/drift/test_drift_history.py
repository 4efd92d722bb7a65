"""Reports in the store: which are read again, and which go."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from components.drift import DriftPolicy, DriftReport, detect
from components.drift.history import earlier, folder_of, keep
from components.store import INDEX, LocalStore

Report = Callable[..., DriftReport]


@pytest.fixture(scope="module")
def report(reference, make_window) -> Report:
    """Number -> the report of so late a window."""
    drifted = detect(reference, make_window(darker=20), DriftPolicy())
    return lambda number, version="3": replace(
        drifted,
        version=version,
        window=f"{2 * number:032x}-{2 * number + 1:032x}",
        until=f"2026-11-20T12:{number:02}:00+00:00",
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
