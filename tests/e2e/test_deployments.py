"""`prefect deployment run train-pipeline/default` on a real server through a real worker."""

import json
import time

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def deployed(site):
    """All deployments of infra/prefect.yaml, by name."""
    site.deploy()
    found = site.ask("/deployments/filter")
    return {deployment["name"]: deployment for deployment in found}


def test_every_deployment_is_there_and_runs_one_at_a_time(deployed) -> None:
    others = {name: deployment for name, deployment in deployed.items() if name != "batch"}  # each scores its own place
    assert set(others) == {
        "default", "nightly", "by-hand", "hourly", "on-drift", "weekly", "compare-models", "search"
    }  # fmt: skip
    assert {d["global_concurrency_limit"]["limit"] for d in others.values()} == {1}
    for name in ("nightly", "hourly", "weekly"):
        schedule = deployed[name]["schedules"][0]
        assert (schedule["active"], schedule["schedule"]["timezone"]) == (True, "Europe/Berlin")


def test_the_form_shows_every_parameter_with_a_description(deployed) -> None:
    schema = deployed["default"]["parameter_openapi_schema"]
    records = schema["definitions"]
    assert {"DataParameters", "TrainingParameters", "PromotionParameters"} <= set(records)
    fields = [field for name in records for field in records[name].get("properties", {}).values()]
    assert fields
    assert all(field.get("description") for field in fields)


def test_an_unknown_parameter_is_refused_when_the_run_is_created(site, deployed) -> None:
    wrong = json.dumps({"source": "synthetic", "sauce": 1})
    done = site.prefect("deployment", "run", "train-pipeline/default", "--param", f"data={wrong}")
    assert done.returncode != 0
    assert "sauce" in done.stdout + done.stderr


def test_the_cron_deployment_gets_its_next_runs(site, deployed) -> None:
    chosen = {"deployments": {"id": {"any_": [deployed["nightly"]["id"]]}}}
    deadline = time.monotonic() + 90
    while not (runs := site.ask("/flow_runs/filter", **chosen)) and time.monotonic() < deadline:
        time.sleep(1)
    assert runs
    assert "SCHEDULED" in {run["state"]["type"] for run in runs}  # at its hour one more runs


def test_a_deployed_run_goes_from_source_to_a_promoted_champion(site, deployed) -> None:
    data = json.dumps({"source": "synthetic:images=700,seed=3"})
    training = json.dumps({"presets": ["quick"], "tiny": True})
    done = site.prefect(
        "deployment", "run", "train-pipeline/default", "--param", f"data={data}", "--param", f"training={training}",
        "--watch", timeout=400,
    )  # fmt: skip
    chosen = {"deployments": {"id": {"any_": [deployed["default"]["id"]]}}}
    (run,) = site.ask("/flow_runs/filter", **chosen)
    worker = (site.logs / "worker.log").read_text()
    assert (run["state"]["type"], run["state"]["name"]) == ("COMPLETED", "Promoted"), done.stdout + worker[-3000:]
    keys = {artifact["key"] for artifact in site.ask("/artifacts/latest/filter")}
    assert keys >= {
        "dataset-counts", "validation-findings", "data-docs", "figures-quick", "confusion-quick", "models",
        "decision", "report",
    }  # fmt: skip


def test_lineage_of_dataset_model_and_report_is_recorded(site, deployed) -> None:
    """After the run above: the assets are named by events, since the open server has no page for them."""
    wanted, assets = {"ferline://datasets", "ferline://models", "ferline://reports"}, set()
    deadline = time.monotonic() + 60
    while not wanted <= assets and time.monotonic() < deadline:  # events are written behind the run
        time.sleep(1)
        found = site.ask("/events/filter", filter={"event": {"prefix": ["prefect.asset."]}}, limit=50)
        assets = {event["resource"]["prefect.resource.id"] for event in found["events"]}
    assert wanted <= assets
