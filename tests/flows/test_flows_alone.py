"""Two processes of one machine never work in one run folder."""

import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from components.training.recipes import load_preset
from flows import tasks

REPOSITORY = Path(__file__).parents[2]
HOLD = """
import time
from flows import tasks
with tasks._alone("one"):
    print("in", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _outside_a_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "get_run_logger", lambda: logging.getLogger("alone"))


def test_who_comes_second_waits_and_hears_that_it_does(caplog: Any) -> None:
    entered = threading.Event()

    def second() -> None:
        with tasks._alone("one"):
            entered.set()

    other = threading.Thread(target=second)
    with tasks._alone("one"), tasks._alone("two"):
        assert caplog.text == ""
        other.start()
        other.join(1)
        assert not entered.is_set()
    other.join(10)
    assert entered.is_set()
    assert "another process trains one already" in caplog.text


def test_one_that_was_killed_holds_nothing(caplog: Any) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "in\n"
    holder.kill()
    holder.wait()
    with tasks._alone("one"):
        assert caplog.text == ""


def test_a_run_that_lies_in_the_store_is_taken_and_its_epochs_are_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = tmp_path / "one"
    finished.mkdir()
    (finished / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 2}\n')
    uri = tasks.store().put_folder(finished, "runs/one")
    monkeypatch.setattr(tasks, "run_folder", lambda *_: finished)
    monkeypatch.setattr(tasks, "read_info", lambda folder: None)
    monkeypatch.setattr(tasks, "run_training", lambda *_: pytest.fail("trained again"))
    told: list[Any] = []
    taken = tasks.train_run("quick", load_preset("quick"), uri, uri, "code", tasks.Where(), watch=told.append)
    assert (taken, told) == (uri, [{"epoch": 1}, {"epoch": 2}])
