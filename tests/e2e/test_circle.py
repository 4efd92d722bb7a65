"""The whole circle with real parts: train, serve, drifted traffic, two alarms, a retraining, a swap, and quiet."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from components.ingest.synthetic import SyntheticOptions, generate
from components.labels import CLASSES
from tests.e2e.conftest import REPOSITORY, Site, free_port, until, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
FACES = 520


@pytest.fixture(scope="module")
def ready(site: Site) -> Site:
    """Deployments and automations made, twice: the second time changes nothing. No schedule runs."""
    for _ in range(2):
        site.deploy()
        site.pause_schedules()
        made = subprocess.run(
            [sys.executable, "-m", "flows.cli", "drift", "automate"], env=site.environment, cwd=REPOSITORY,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
    return site


@pytest.fixture(scope="module")
def service(ready: Site) -> str:
    """Address of the service, with a champion that a worker has trained."""
    train(ready)
    port = free_port()
    program = str(Path(sys.executable).parent / "bentoml")
    ready.start([program, "serve", "serving.service:FaceService", "--port", str(port)], "service")
    wait_for(f"http://127.0.0.1:{port}/readyz")
    return f"http://127.0.0.1:{port}"


def train(site: Site, *overrides: str) -> None:
    data = json.dumps({"source": "synthetic:images=2000,seed=3"})
    training = json.dumps({"presets": ["quick"], "tiny": True, "overrides": ["precision=fp32", *overrides]})
    site.prefect(
        "deployment", "run", "train-pipeline/default", "--param", f"data={data}", "--param", f"training={training}",
        "--watch", timeout=300,
    )  # fmt: skip


def send(service: str, seed: int) -> None:
    """Dark faces over HTTP, and the true class of two in three."""
    images, labels, _ = generate(SyntheticOptions(images=FACES, seed=seed, label_noise=0.0, darker=1.0))
    with httpx.Client(base_url=service, timeout=60) as client:
        for start in range(0, FACES, 40):
            part = range(start, min(start + 40, FACES))
            files = [("images", (f"{k}.png", png(images[k]), "image/png")) for k in part]
            answers = client.post("/predict_batch", files=files).json()["answers"]
            for k, answer in zip(part, answers, strict=True):
                if k % 3:
                    told = {"id": answer["id"], "class": CLASSES[labels[k]]}
                    assert client.post("/feedback", json=told).status_code == 200


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def look(site: Site) -> tuple[str, str]:
    """Name and message of a monitor run's end."""
    site.prefect("deployment", "run", "drift-monitor/hourly", "--watch", timeout=200)
    runs = runs_of(site, "drift-monitor")
    return runs[-1]["state"]["name"], runs[-1]["state"]["message"]


def runs_of(site: Site, flow: str) -> list[dict[str, Any]]:
    """Runs of a flow that were begun, oldest first; scheduled ones of later left out."""
    found = site.ask("/flow_runs/filter", flows={"name": {"any_": [flow]}}, sort="START_TIME_ASC")
    return [run for run in found if run["start_time"]]


def test_automations_are_made_once_however_often(ready: Site) -> None:
    names = [automation["name"] for automation in ready.ask("/automations/filter")]
    assert sorted(names) == [
        "ferline: crash runs of dead workers", "ferline: go on with crashed runs", "ferline: retrain on drift"
    ]  # fmt: skip


def test_drift_is_seen_twice_a_retraining_follows_and_the_service_swaps(ready: Site, service: str) -> None:
    assert httpx.get(f"{service}/model").json()["model"]["version"] == "1"
    assert look(ready)[0] == "NotEnough"
    for seed, sight in ((51, "Drifted"), (52, "Alarm")):
        send(service, seed)
        assert look(ready)[0] == sight

    def retrained() -> list[dict[str, Any]]:
        return [run for run in runs_of(ready, "retrain") if run["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED")]

    (run,) = until(retrained, 300, "a retraining has ended")
    worker = (ready.logs / "worker.log").read_text()
    assert run["state"]["name"] == "Promoted", run["state"]["message"] + worker[-3000:]
    assert run["parameters"]["trigger"]["reason"].startswith("drift of version 1: brightness")
    assert Path(run["parameters"]["trigger"]["report"], "report.json").is_file()
    until(lambda: httpx.get(f"{service}/model").json()["model"]["version"] == "2", 30, "the service has swapped")
    send(service, 53)
    name, message = look(ready)
    assert name == "Quiet", message
    assert 'ferline_drift{figure="drift share",version="2"}' in httpx.get(f"{service}/metrics").text
