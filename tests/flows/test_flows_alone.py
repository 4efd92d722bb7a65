"""Two processes of one machine never work in one run folder."""

import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

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


def test_who_comes_second_waits_and_hears_that_it_did(caplog: Any) -> None:
    seen: list[bool] = []

    def second() -> None:
        with tasks._alone("one") as waited:
            seen.append(waited)

    other = threading.Thread(target=second)
    with tasks._alone("one") as waited, tasks._alone("two") as waited_for_another:
        assert not waited
        assert not waited_for_another
        other.start()
        other.join(1)
        assert seen == []
    other.join(10)
    assert seen == [True]
    assert "another process trains one already" in caplog.text


def test_one_that_was_killed_holds_nothing() -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "in\n"
    holder.kill()
    holder.wait()
    with tasks._alone("one") as waited:
        assert not waited
