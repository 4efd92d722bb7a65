"""`ferline predict --parts` and the flow batch-predict, in processes of their own, from folders named as one does."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from components.dataset import Dataset

REPOSITORY = Path(__file__).parents[2]
PREDICT = ("-m", "flows.cli", "predict", "photos", "--out", "scores", "--face", "none", "--json")
FLOW = """
from flows.batch import batch_predict
from flows.parameters import BatchParameters
done = batch_predict(BatchParameters("photos", "scores", face="none"))
print("ANSWERED", done.answered, done.errors)
"""


@pytest.fixture(scope="module")
def shelf(packages, tmp_path_factory: pytest.TempPathFactory, open_shelf):
    shelf = open_shelf(tmp_path_factory.mktemp("predict") / "home")
    shelf.promote(packages["first"])
    return shelf


@pytest.fixture
def place(tiny_dataset: Dataset, tmp_path: Path) -> Path:
    """A folder with photos/: 40 pictures and a file that is none."""
    (tmp_path / "photos").mkdir()
    for k, image in enumerate(tiny_dataset.images[-40:]):
        Image.fromarray(image).save(tmp_path / "photos" / f"{k:03d}.png")
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    return tmp_path


def start(shelf, place: Path, outside: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    environment = {**outside, "FERLINE_HOME": str(shelf.home), "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [sys.executable, *command], env=environment, cwd=place, capture_output=True, text=True, timeout=500
    )


def test_into_parts(shelf, place: Path, outside) -> None:
    done = start(shelf, place, outside, *PREDICT, "--parts")
    told = json.loads(done.stdout)
    assert (told["pictures"], told["answered"], told["errors"], told["resumed"]) == (41, 40, 1, 0)
    assert len(pd.read_parquet(place / "scores" / "part-000000.parquet")) == 41
    again = json.loads(start(shelf, place, outside, *PREDICT, "--parts").stdout)
    assert (again["answered"], again["resumed"]) == (40, 41)


def test_parts_go_on_after_kill_9(shelf, place: Path, tiny_dataset: Dataset, outside) -> None:
    for k, image in enumerate([*tiny_dataset.images] * 3):
        Image.fromarray(image).save(place / "photos" / f"more-{k:04d}.png")
    environment = {**outside, "FERLINE_HOME": str(shelf.home), "PYTHONPATH": str(REPOSITORY)}
    begun = subprocess.Popen(
        [sys.executable, *PREDICT, "--parts"], env=environment, cwd=place, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    scores, until = place / "scores", time.monotonic() + 200
    while not list(scores.glob("part-*.parquet")):
        assert begun.poll() is None
        assert time.monotonic() < until
        time.sleep(0.002)
    begun.kill()
    begun.wait()
    whole = {file.name: file.stat().st_mtime_ns for file in scores.glob("part-*.parquet")}
    assert 1 <= len(whole) < 5
    told = json.loads(start(shelf, place, outside, *PREDICT, "--parts").stdout)
    assert (told["pictures"], told["errors"], told["resumed"]) == (2141, 1, 512 * len(whole))
    assert {name: (scores / name).stat().st_mtime_ns for name in whole} == whole, "not done again"
    rows = pd.concat(pd.read_parquet(file) for file in sorted(scores.glob("part-*.parquet")))
    assert len(rows) == rows["source"].nunique() == 2141


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--parts", "--face", "all"), "face=all"),
        (("--parts", "--out", "photos/scores"), "taken for pictures"),
        (("--backend", "ray", "--out", "photos"), "taken for pictures"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_written(shelf, place: Path, outside, more, words: str) -> None:
    done = start(shelf, place, outside, *PREDICT, *more)
    assert done.returncode != 0
    assert words in json.loads(done.stdout)["error"]["message"]
    assert sorted(path.name for path in place.iterdir()) == ["photos"]


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_workers_of_a_cluster_find_folders_named_from_here(shelf, place: Path, outside) -> None:
    done = start(shelf, place, outside, *PREDICT, "--backend", "ray", "--workers", "2")
    told = json.loads(done.stdout)
    assert (told["answered"], told["errors"]) == (40, 1)
    assert len(pd.read_parquet(place / "scores" / "part-000000.parquet")) == 41


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_the_flow(shelf, place: Path, outside) -> None:
    done = start(shelf, place, outside, "-c", FLOW)
    assert "ANSWERED 40 1" in done.stdout, done.stderr[-2000:]
    assert len(pd.read_parquet(place / "scores" / "part-000000.parquet")) == 41
