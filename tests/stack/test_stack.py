"""From a deployment to a promoted model, a prediction over HTTP and a drift report, through real servers."""

import json

import httpx
import pytest

from tests.stack.conftest import Stack, logged, predict, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def test_a_deployed_run_ends_in_a_promoted_champion_that_is_served(stack: Stack, champion: str) -> None:
    (version,) = stack.registry.versions()
    assert (version.version, "champion" in version.aliases) == (champion, True)
    assert (stack.registry.download("champion") / "model.onnx").is_file(), "through the proxy, from the bucket"
    assert any(name.startswith("ledger/") for name in stack.store.list(""))
    assert not (stack.home / "store" / "datasets").exists(), "the store is S3"
    assert not (stack.home / "mlflow.db").exists(), "the registry is PostgreSQL"


def test_predictions_reach_the_bucket_and_the_dashboard_shows_a_window(stack: Stack, champion: str) -> None:
    ids = predict(stack.service, 520, seed=11)
    until(lambda: set(ids) <= set(logged(stack)), 60, "the log is in the bucket")
    run = stack.deploy_run("drift-monitor/hourly")
    assert stack.ended(run)["name"] in ("Quiet", "Drifted"), stack.log("worker")
    dashboard = f"http://127.0.0.1:{stack.port('dashboard')}/api"
    (project,) = httpx.get(f"{dashboard}/projects").json()
    snapshots = httpx.get(f"{dashboard}/projects/{project['id']}/snapshots").json()
    assert len(snapshots) == 1
    report = json.loads(stack.store.read_bytes("drift/latest.json"))
    assert (report["version"], report["rows"]) == (champion, 520)


def test_the_set_up_again_changes_nothing(stack: Stack, champion: str) -> None:
    done = stack.run("ferline", "stack", "setup", "--bucket", "mlflow")
    stack.pause_schedules()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is there") == 3
    assert len(stack.ask("/automations/filter")) == 3
    assert len(stack.ask("/deployments/filter")) == 9
