"""From a deployment to a promoted model, a prediction and a drift report, through real servers; then every fault."""

import io
import json

import httpx
import numpy as np
import pytest
from PIL import Image

from components.ingest.synthetic import SyntheticOptions, generate
from components.journal import Logbook
from tests.stack.conftest import Stack, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
DATA = {"source": "synthetic:images=700,seed=3"}
TINY = {"presets": ["quick"], "tiny": True}


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def predict(stack: Stack, faces: int, seed: int) -> list[str]:
    """Ask for some faces; the ids of the answers."""
    images, _, _ = generate(SyntheticOptions(images=max(100, faces), seed=seed))
    ids = []
    with httpx.Client(base_url=stack.service, timeout=60) as client:
        for begin in range(0, faces, 50):
            files = [("images", (f"{k}.png", png(images[k]), "image/png"))
                     for k in range(begin, min(begin + 50, faces))]  # fmt: skip
            answer = client.post("/predict_batch", files=files)
            assert answer.status_code == 200, answer.text
            ids += [each["id"] for each in answer.json()["answers"]]
    return ids


def logged(stack: Stack, ids: list[str]) -> bool:
    """Whether the store holds every one of these predictions."""
    book = Logbook(stack.store)
    return all(book.has(id) for id in (ids[0], ids[-1])) and all(book.has(id) for id in ids)


def test_a_deployed_run_ends_in_a_promoted_champion_that_is_served(stack: Stack) -> None:
    run = stack.deploy_run("train-pipeline/default", data=DATA, training=TINY)
    assert stack.ended(run)["name"] == "Promoted", stack.log("worker")
    until(lambda: httpx.get(f"{stack.service}/readyz").json()["model"] == "1", 60, "the service has it")
    (champion,) = stack.registry.versions()
    assert champion.aliases == ("challenger", "champion") or "champion" in champion.aliases
    assert (stack.registry.download("champion") / "model.onnx").is_file(), "through the proxy, from the bucket"
    assert any(name.startswith("ledger/") for name in stack.store.list(""))
    assert not (stack.home / "store" / "datasets").exists(), "the store is S3"
    assert not (stack.home / "mlflow.db").exists(), "the registry is PostgreSQL"


def test_predictions_reach_the_bucket_and_the_dashboard_shows_a_window(stack: Stack) -> None:
    ids = predict(stack, 520, seed=11)
    until(lambda: logged(stack, ids), 60, "the log is in the bucket")
    run = stack.deploy_run("drift-monitor/hourly")
    assert stack.ended(run)["name"] in ("Quiet", "Drifted"), stack.log("worker")
    dashboard = f"http://127.0.0.1:{stack.port('dashboard')}/api"
    (project,) = httpx.get(f"{dashboard}/projects").json()
    snapshots = httpx.get(f"{dashboard}/projects/{project['id']}/snapshots").json()
    assert len(snapshots) == 1
    report = json.loads(stack.store.read_bytes("drift/latest.json"))
    assert (report["version"], report["rows"]) == ("1", 520)
