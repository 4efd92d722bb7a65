"""From a deployment to a promoted model, a prediction over HTTP and a drift report, through real servers."""

import json
from pathlib import Path

import httpx
import pytest

from tests.stack.conftest import Stack, logged, predict, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def test_a_deployed_run_ends_in_a_promoted_champion_that_is_served(stack: Stack, champion: str, tmp_path: Path) -> None:
    (version,) = stack.registry.versions()
    assert (version.version, "champion" in version.aliases) == (champion, True)
    folder = stack.registry.download("champion", tmp_path)
    assert (folder / "model.onnx").is_file(), "through the proxy, from the bucket"
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
    """Nor does it start what somebody has paused: the schedules are, and here a deployment and an automation too."""
    api = f"http://127.0.0.1:{stack.port('prefect')}/api"
    automation = f"{api}/automations/{in_force(stack)['ferline: retrain on drift'][0]}"
    deployment = f"{api}/deployments/{in_force(stack)['compare-models'][0]}"
    httpx.patch(automation, json={"enabled": False}).raise_for_status()
    httpx.post(f"{deployment}/pause_deployment").raise_for_status()
    try:
        before = in_force(stack)
        done = stack.run("ferline", "stack", "setup", "--bucket", "mlflow")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("is there") == 3
        assert in_force(stack) == before
    finally:
        httpx.patch(automation, json={"enabled": True}).raise_for_status()
        httpx.post(f"{deployment}/resume_deployment").raise_for_status()
    assert len(before) == 3 + 9
    assert [before[name][1:] for name in ("nightly", "hourly", "weekly")] == [(True, [False])] * 3
    assert (before["ferline: retrain on drift"][1], before["compare-models"][1]) == (False, False)


def in_force(stack: Stack) -> dict[str, tuple[str, bool, list[bool]]]:
    """Name of an automation or a deployment -> id, whether it is in force, and whether each of its schedules is."""
    automations = {each["name"]: (each["id"], each["enabled"], []) for each in stack.ask("/automations/filter")}
    return automations | {
        each["name"]: (each["id"], not each["paused"], [schedule["active"] for schedule in each["schedules"]])
        for each in stack.ask("/deployments/filter")
    }
