"""Training on a Ray cluster of two CPU workers, against one process; a worker that is killed; what cannot run."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.dataset import Dataset

pytestmark = pytest.mark.timeout(900)  # clusters and servers take their time to start

SETS = ("--set", "epochs=3", "--set", "batch_size=32", "--set", "ema=0.9")


def start(module: str, dataset: Dataset, out: Path, *more: str) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-m",
        module,
        "--preset",
        "quick",
        "--tiny",
        "--data",
        str(dataset.root),
        "--out",
        str(out),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *more], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def epochs(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.e2e
def test_two_workers_train_as_one_process_at_the_same_global_batch(tiny_dataset: Dataset, tmp_path: Path) -> None:
    runs = {}
    for module, more in (("components.training", ()), ("components.cluster.train", ("--workers", "2"))):
        out = tmp_path / module
        child = start(module, tiny_dataset, out, *SETS, *more)
        _, words = child.communicate(timeout=250)
        assert child.returncode == 0, words[-3000:]
        runs[module] = (
            epochs(out),
            json.loads((out / "summary.json").read_text()),
            {file.name for file in out.iterdir()},
        )
    (alone, summary, files), (shared, ray_summary, ray_files) = runs.values()
    assert files == ray_files
    assert not list(tmp_path.glob(".*")), "Ray's own folder is gone"
    assert [line["step"] for line in alone] == [line["step"] for line in shared]
    for key in ("train_loss", "validation_loss"):
        assert alone[-1][key] == pytest.approx(shared[-1][key], rel=0.15)
    same = (
        "parameters",
        "fingerprint",
        "sample_sha256",
        "recipe_sha256",
        "train_images",
        "validation_images",
        "epochs",
    )
    assert {key: summary[key] for key in same} == {key: ray_summary[key] for key in same}


def workers_of(child: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Ray names its processes; only those that this cluster started count."""
    found = []
    for process in psutil.Process(child.pid).children(recursive=True):
        try:
            if "RayTrainWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.e2e
def test_a_killed_worker_costs_no_more_than_the_way_from_its_last_checkpoint(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    child = start("components.cluster.train", tiny_dataset, out, "--workers", "2", "--set", "epochs=8")
    deadline = time.monotonic() + 200
    while not list(out.glob("checkpoints/*/trainer_state.json")):
        assert child.poll() is None, child.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    victims = workers_of(child)
    assert len(victims) == 2
    victims[0].kill()
    said, words = child.communicate(timeout=250)
    assert child.returncode == 0, words[-3000:]
    assert "resuming from step" in said + words
    assert [line["epoch"] for line in epochs(out)] == list(range(1, 9))
    assert json.loads((out / "summary.json").read_text())["epochs"] == 8


@pytest.mark.e2e
def test_what_a_worker_refuses_is_told_as_by_a_training_here(tiny_dataset: Dataset, tmp_path: Path) -> None:
    child = start(
        "components.cluster.train", tiny_dataset, tmp_path / "run", "--workers", "2", "--set", "batch_size=33"
    )
    _, words = child.communicate(timeout=250)
    assert child.returncode == 2
    assert "error: batch_size 33 cannot be shared by 2 processes evenly." in words


def test_no_cluster_at_that_address(tiny_dataset: Dataset, tmp_path: Path) -> None:
    child = start("components.cluster.train", tiny_dataset, tmp_path / "run", "--address", "127.0.0.1:1")
    _, words = child.communicate(timeout=250)
    assert child.returncode == 1
    assert "no Ray cluster answers at 127.0.0.1:1" in words
