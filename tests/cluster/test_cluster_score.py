"""Parts over two workers of a local Ray cluster: all of them once, also when a worker is killed."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.cluster.score import map_parts
from components.errors import StoreUnreachable

pytestmark = pytest.mark.timeout(900)  # clusters and servers take their time to start

Work = Callable[[dict[str, Any]], dict[str, Any]]


def _make(folder: Path) -> Work:
    """Writes a file a part; the first worker that gets part 3 dies with it, once."""
    (folder / f"worker-{os.getpid()}").touch()

    def work(part: dict[str, Any]) -> dict[str, Any]:
        if part["number"] == 3 and not (folder / "died").exists():
            (folder / "died").touch()
            os.kill(os.getpid(), 9)
        time.sleep(0.05)
        (folder / f"part-{part['number']}").write_text("".join(part["names"]))
        return {"pictures": len(part["names"]), "number": part["number"]}

    return work


@pytest.mark.e2e
def test_every_part_is_done_though_a_worker_dies(tmp_path: Path) -> None:
    parts = [{"number": k, "names": [f"{k}-{n}" for n in range(4)]} for k in range(12)]
    done = list(map_parts(partial(_make, tmp_path), parts, 2, ""))
    assert sorted(each["number"] for each in done) == list(range(12))
    assert sum(each["pictures"] for each in done) == 48
    assert (tmp_path / "died").exists()
    assert len(list(tmp_path.glob("part-*"))) == 12
    assert len(list(tmp_path.glob("worker-*"))) >= 3, "two workers, and one in place of the dead"


def _refuse() -> Work:
    def work(part: dict[str, Any]) -> dict[str, Any]:
        raise StoreUnreachable(f"nothing answers for part {part['number']}")

    return work


@pytest.mark.e2e
def test_what_a_worker_raises_is_raised_here() -> None:
    with pytest.raises(StoreUnreachable, match="nothing answers for part 0"):
        list(map_parts(_refuse, [{"number": 0, "names": ["a"]}], 1, ""))
