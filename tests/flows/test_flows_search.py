"""`ferline search` on tiny recipes: to its end, killed in the middle and begun again, side by side on Ray."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(900)  # clusters and servers take their time to start

REPOSITORY = Path(__file__).parents[2]
SEARCH = ("search", "--source", "synthetic:images=700,seed=3", "--tiny", "--set", "epochs=3",
          "--space", "optimizer.lr=1e-4..1e-2:log", "--space", "batch_size=32|64")  # fmt: skip


def runs_of(bench: Any) -> list[Any]:
    from components.registry import Registry

    return list(Registry(f"sqlite:///{bench.home}/mlflow.db", bench.home, "ferline-fer").client.search_runs(["1"]))


@pytest.mark.e2e
def test_a_killed_search_goes_on_and_ends_with_a_preset(bench: Any) -> None:
    asked = (*SEARCH, "--set", "pretrain.epochs=1")
    child = subprocess.Popen(
        bench.command(*asked, "--trials", "3"), env=bench.environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    study, deadline = bench.home / "work" / "searches", time.monotonic() + 250
    while not any('"op_code":7' in file.read_text().replace(" ", "") for file in study.glob("*.log")):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()

    outcome = bench.document(*asked, "--trials", "3")
    states = [trial["state"] for trial in outcome["trials"]]
    assert states[0] == "failed", "the one that was running"
    assert outcome["trials"][1]["values"] == outcome["trials"][0]["values"], "is tried again"
    assert sum(state in ("complete", "pruned") for state in states) == 3
    best = outcome["best"]
    assert best["macro_f1"] == max(trial["macro_f1"] or 0 for trial in outcome["trials"])

    place = Path(outcome["place"])
    assert {"preset.py", "trials.json", "trials.md"} <= {file.name for file in place.iterdir()}
    module: dict[str, Any] = {}
    exec((place / "preset.py").read_text(), module)
    assert module["RECIPE"].optimizer.lr == pytest.approx(best["values"]["optimizer.lr"])
    runs = runs_of(bench)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    nested = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert len(nested) == len({json.dumps(trial["values"]) for trial in outcome["trials"]})

    more = bench.document(*asked, "--trials", "4")
    assert more["trials"][: len(outcome["trials"])] == outcome["trials"], "a longer search keeps the shorter one's"
    shared = list(bench.home.glob("work/pretrained/*/*"))
    assert len(shared) == len({trial["values"]["batch_size"] for trial in more["trials"]}), "once for each batch size"


@pytest.mark.e2e
def test_ray_tune_runs_trials_side_by_side(bench: Any) -> None:
    outcome = bench.document(*SEARCH, "--trials", "3", "--backend", "ray", "--workers", "2")
    assert [trial["state"] in ("complete", "pruned") for trial in outcome["trials"]] == [True] * 3
    assert outcome["best"]["macro_f1"] > 0
    assert not list((bench.home / "runs").glob("*")), "run folders are cleared away"
    nested = [run for run in runs_of(bench) if "mlflow.parentRunId" in run.data.tags]
    assert len(nested) == 3
    assert all(run.data.metrics["validation_macro_f1"] >= 0 for run in nested)
    more = bench.document(*SEARCH, "--trials", "4", "--backend", "ray", "--workers", "2")
    assert more["trials"][:3] == outcome["trials"], "a longer search keeps the shorter one's"
    assert more["trials"][3]["values"] not in [trial["values"] for trial in outcome["trials"]]


@pytest.mark.e2e
def test_trials_on_ray_end_by_themselves_where_none_may_be_stopped(bench: Any) -> None:
    """Also those that are longer than the preset."""
    from components.training.recipes import compose

    asked = (*SEARCH, "--space", "epochs=9|10", "--no-prune", "--trials", "2", "--backend", "ray", "--workers", "2")
    trials = bench.document(*asked)["trials"]
    assert [(trial["state"], trial["epochs"]) for trial in trials] == [
        ("complete", int(trial["values"]["epochs"])) for trial in trials
    ]
    assert compose("quick", [], small=True).epochs < 9


STOPPED = """
import sys
from pathlib import Path
from prefect import flow
from components.search.records import parse_space
from components.search.study import Study
from components.training.recipes import compose, override
from flows.context import registry, settings
from flows.parameters import DataParameters
from flows.search import trial_task
from flows.tasks import balance_task, ingest_task

base = compose("quick", ["epochs=3", "precision=fp32"], small=True)
study = Study(Path(sys.argv[1]), "one", parse_space(base, ["optimizer.lr=1e-4..1e-2"]), 0, True)
for _ in range(4):  # trials that no other can be as good as
    asked = study.ask()
    for epoch in (1, 2, 3):
        asked.report(1.0, epoch)
    asked.complete(1.0)

@flow
def one():
    dataset = ingest_task(DataParameters("synthetic:images=700,seed=3"), "", "")
    sample = balance_task(dataset, base, "", "")
    return trial_task(study.ask(), "quick", base, dataset, sample, "", return_state=True)

state = one(return_state=True).result()
runs = registry().client.search_runs([registry().experiment_id])
print("STATE", state.name, state.result(), [run.info.status for run in runs], list(settings().runs.iterdir()))
"""


@pytest.mark.e2e
def test_a_trial_that_is_stopped_early_is_no_failure_anywhere(bench: Any, tmp_path: Path) -> None:
    environment = {**bench.environment, "PREFECT_HOME": str(tmp_path / "prefect")}
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(tmp_path / "study.log")], env=environment, cwd=REPOSITORY,
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert "STATE Completed None ['KILLED'] []" in done.stdout, done.stderr[-3000:]


@pytest.mark.e2e
def test_a_killed_search_on_ray_goes_on_and_loses_no_trial(bench: Any) -> None:
    asked = (*SEARCH, "--trials", "4", "--backend", "ray", "--workers", "2")
    child = subprocess.Popen(
        bench.command(*asked), env=bench.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 250
    while not list(bench.home.glob("runs/*/summary.json")):  # a trial has trained to its end
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    outcome = bench.document(*asked)
    assert [trial["state"] in ("complete", "pruned") for trial in outcome["trials"]] == [True] * 4
    assert not list((bench.home / "runs").glob("*"))
    assert not list((bench.home / "work" / "searches").glob("*.ray"))


@pytest.mark.e2e
def test_a_search_that_cannot_train_at_all_says_so_and_counts_no_trial(bench: Any) -> None:
    """The fault is not the values': a search begun again after it is mended starts where this one did."""
    done = bench.ferline(*SEARCH, "--trials", "4", "--set", "model.pretrained=/nowhere")
    assert done.returncode != 0
    assert "no finished run" in done.stdout + done.stderr
    study = next((bench.home / "work" / "searches").glob("*.log"))
    assert '"state":2' not in study.read_text().replace(" ", ""), "PRUNED"


def test_values_that_make_no_recipe_are_told_to_tune_and_do_not_stop_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ray import tune

    from components.cluster.tune import Searched, _trial
    from components.training.recipes import compose

    told: list[dict[str, Any]] = []
    monkeypatch.setattr(tune, "report", told.append)
    base = compose("quick", ["epochs=3", "early_size=16", "early_epochs=1"], small=True)
    _trial({"epochs": 2, "early_epochs": 3}, Searched("s", "quick", base, tmp_path, tmp_path, {}, tmp_path))
    assert [line["choice"] for line in told] == [0.0]
    assert "early_epochs" in told[0]["refused"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--space", "optimiser.lr=1..2"), "optimizer.lr"),
        (("--preset", "quik"), "quick"),
        (("--trials", "0"), "trials"),
    ],
)
def test_what_cannot_be_searched_is_told_before_anything_starts(bench: Any, more: tuple[str, ...], words: str) -> None:
    done = bench.ferline("search", *more)
    assert done.returncode == 2
    assert words in done.stderr
    assert not bench.home.exists()
