"""train-pipeline on a Ray cluster that stands by itself: its models are trained side by side, a worker each."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.flows.conftest import TINY

pytestmark = pytest.mark.timeout(900)  # clusters take their time to start

REPOSITORY = Path(__file__).parents[2]
TOKEN = "0123456789abcdef" * 4


@pytest.fixture
def ray_cluster() -> Iterator[str]:
    """Address of a cluster with room for two workers, which asks for a token: one node, this machine."""
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--port", "0",
        "--node-ip-address", "127.0.0.1", "--num-cpus", "2", "--include-dashboard", "false",
        "--disable-usage-stats",
    ]  # fmt: skip
    head = subprocess.Popen(
        command, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1",
             "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert head.stdout
    said = ""
    for line in head.stdout:
        said += line
        if address := re.search(r"--address='([\d.:]+)'", line):  # the port that Ray found free
            break
    else:
        os.killpg(head.pid, signal.SIGKILL)
        pytest.fail(said)
    yield address[1]
    nodes = psutil.Process(head.pid).children(recursive=True)
    os.killpg(head.pid, signal.SIGKILL)
    for node in nodes:
        if node.is_running():
            node.kill()
    psutil.wait_procs(nodes, 30)


def test_a_run_of_every_preset_there_is_has_a_thread_for_each() -> None:
    from components.training.recipes import preset_names
    from flows.train import train_pipeline

    assert train_pipeline.task_runner._max_workers >= len(preset_names())


@pytest.mark.e2e
def test_models_of_one_run_fan_out_over_a_cluster(bench: Any, ray_cluster: str) -> None:
    connect = f"from components.cluster.connect import cluster\nwith cluster({ray_cluster!r}, 2): pass"
    done = subprocess.run(
        [sys.executable, "-c", connect], env={**os.environ, "RAY_AUTH_MODE": "disabled"}, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert f"the Ray cluster at {ray_cluster} asks for its token" in done.stderr

    asked = (*TINY, "--preset", "quick-resnet18", "--set", "epochs=30", "--side-by-side", "--backend", "ray",
             "--workers", "1", "--json")  # fmt: skip
    said, words = (bench.root / name for name in ("said", "words"))
    child = subprocess.Popen(
        bench.command(*asked), cwd=REPOSITORY, stdout=said.open("w"), stderr=words.open("w"),
        env={**bench.environment, "FERLINE_RAY_ADDRESS": ray_cluster, "RAY_AUTH_MODE": "token",
             "RAY_AUTH_TOKEN": TOKEN},
    )  # fmt: skip
    together = False
    while child.poll() is None:
        begun = [file.parent for file in bench.home.glob("runs/*/metrics.jsonl")]
        together |= len([run for run in begun if not (run / "summary.json").exists()]) == 2
        time.sleep(0.05)
    assert child.returncode == 0, words.read_text()[-3000:]
    assert together, "both are in their epochs at the same time"
    outcome = json.loads(said.read_text())
    assert outcome["verdict"] == "Promoted"
    assert {candidate["name"] for candidate in outcome["candidates"]} == {"quick", "quick-resnet18"}
    for candidate in outcome["candidates"]:
        lines = (Path(candidate["run_uri"]) / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == list(range(1, 31))
