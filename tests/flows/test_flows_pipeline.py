"""train-pipeline from source to champion on a tiny dataset, and what a second run makes of the first."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.registry import Registry
from components.training.follow import run_training

STRICT = "gate: {macro_f1_floor: 0.99}\n"
Promoted = tuple[Any, dict[str, Any]]
TINY = ("run", "train-pipeline", "--source", "synthetic:images=700,seed=3", "--tiny", "--preset", "quick",
        "--set", "precision=fp32")  # fmt: skip


def test_the_first_run_ends_with_a_champion_that_passed_every_rule(promoted: Promoted) -> None:
    bench, outcome = promoted
    assert (outcome["verdict"], outcome["champion"]) == ("Promoted", "1")
    decision = json.loads(Path(outcome["decision_uri"]).read_text())
    assert decision["verdict"] == "promote"
    assert all(rule["passed"] for rule in decision["rules"])
    champion = bench.document("models", "show", "champion")
    assert champion["version"] == "1"
    assert "Article 5(1)(f)" in champion["card"]


def test_candidates_are_ordered_by_macro_f1_on_public_test(promoted: Promoted) -> None:
    _, outcome = promoted
    evaluations = [
        json.loads((Path(c["evaluation_uri"]) / "evaluation.json").read_text()) for c in outcome["candidates"]
    ]
    scores = [e["figures"]["macro_f1"] for e in evaluations]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert {e["split"] for e in evaluations} == {"PublicTest"}


def test_everything_lies_below_the_home(promoted: Promoted) -> None:
    bench, outcome = promoted
    uris = [outcome[name] for name in ("dataset_uri", "validation_uri", "decision_uri", "report")]
    assert all(uri.startswith(str(bench.home)) for uri in uris)
    assert {path.name for path in bench.home.iterdir()} >= {"store", "mlflow.db", "prefect"}
    assert (Path(outcome["report"]) / "report.html").stat().st_size > 50_000


def test_mlflow_holds_parameters_epochs_dataset_and_a_finished_run(promoted: Promoted) -> None:
    bench, outcome = promoted
    registry = Registry(f"sqlite:///{bench.home / 'mlflow.db'}", bench.home / "mlflow-artifacts", "ferline-fer")
    run_id = (Path(outcome["candidates"][0]["run_uri"]) / "mlflow_run").read_text()
    run = registry.client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["optimizer.weight_decay"]
    assert len(registry.client.get_metric_history(run_id, "validation_macro_f1")) == 2
    assert run.inputs.dataset_inputs[0].dataset.digest
    files = {file.path for file in registry.client.list_artifacts(run_id)}
    assert files >= {"recipe.json", "summary.json", "environment.json"}
    assert files >= {"confusion.png", "reliability.png", "curves.png"}


def test_a_second_run_reuses_every_stage(promoted: Promoted) -> None:
    bench, first = promoted
    done = bench.ferline(*TINY, "--preset", "quick-resnet18", "--json")
    again = json.loads(done.stdout)
    assert (again["verdict"], again["champion"]) == ("Unchanged", "1")
    assert again["candidates"] == first["candidates"]
    assert again["dataset_uri"] == first["dataset_uri"]
    assert " epoch 1:" not in done.stderr


def test_a_challenger_may_wait_for_a_promotion_by_hand_and_be_rolled_back(promoted: Promoted) -> None:
    bench, _ = promoted
    waiting = bench.document(*TINY, "--set", "seed=4", "--no-promote")
    assert (waiting["verdict"], waiting["champion"]) == ("Waiting", "1")
    assert bench.document("models", "promote", "challenger") == {"champion": "2"}
    assert bench.document("models", "rollback", "--reason", "complaints") == {"champion": "1"}
    moves = [(e["action"], e["to_version"]) for e in bench.document("models", "history") if e["action"] != "register"]
    assert moves == [("promote", "1"), ("promote", "2"), ("rollback", "1")]


def test_the_private_test_is_opened_once_and_the_ledger_says_so(promoted: Promoted) -> None:
    bench, outcome = promoted
    run, data = outcome["candidates"][0]["run_uri"], outcome["dataset_uri"]
    opened = bench.document("evaluate", run, "--data", data, "--final", "--reason", "end of the test")
    assert opened["split"] == "PrivateTest"
    entries = [e for e in bench.document("models", "history") if e["action"] == "open"]
    assert len(entries) == 1
    assert entries[0]["reason"].startswith("end of the test")


def test_a_rejected_challenger_is_kept_and_marked_and_the_champion_stays(promoted: Promoted) -> None:
    bench, _ = promoted
    bench.gate(STRICT)
    done = bench.ferline(*TINY, "--set", "seed=5", "--json")
    outcome = json.loads(done.stdout)
    assert (done.returncode, outcome["verdict"], outcome["champion"]) == (4, "Rejected", "1")
    assert "Finished in state Rejected" in done.stderr
    statuses = {v["version"]: v["status"] for v in bench.document("models", "list")}
    assert statuses["3"] == "rejected"
    assert statuses["1"] == "champion"


def test_a_rejected_one_is_promoted_by_force_with_a_reason_alone(promoted: Promoted) -> None:
    bench, _ = promoted
    assert bench.ferline("models", "promote", "3").returncode == 4
    assert bench.ferline("models", "promote", "3", "--force").returncode == 4
    assert bench.document("models", "promote", "3", "--force", "--reason", "a try") == {"champion": "3"}
    last = bench.document("models", "history")[-1]
    assert (last["forced"], last["reason"]) == (True, "a try")


def test_labels_are_audited_and_a_run_trained_elsewhere_without_the_worst_goes_on_to_the_gate(
    promoted: Promoted, tmp_path: Path, lenient_policy: Path
) -> None:
    bench, outcome = promoted
    bench.gate((lenient_policy / "gate.yaml").read_text())  # another test left a strict one
    audit = ("data", "audit", outcome["dataset_uri"], "--tiny", "--folds", "2", "--set", "epochs=1")
    found = bench.document(*audit)
    assert found["images"] == 560
    assert {path.name for path in Path(found["uri"]).iterdir()} >= {"audit.json", "exclude.csv", "sheet.png"}
    elsewhere = tmp_path / "elsewhere"
    sets = ("--set", f"data.exclude={found['uri']}", "--set", "epochs=1")
    bench.document("train", "--tiny", "--data", outcome["dataset_uri"], "--out", str(elsewhere), *sets)
    judged = bench.document(*TINY[:4], "--from-run", str(elsewhere), "--no-promote")
    assert [candidate["name"] for candidate in judged["candidates"]] == ["quick (elsewhere)"]
    assert judged["verdict"] == "Waiting"
    page = (Path(judged["report"]) / "report.html").read_text()
    assert "stand in the recipe" in page
    assert found["found"] > 0
    again = bench.ferline(*audit)
    assert "holds the finished audit" in again.stdout
    assert "fold 1" not in again.stdout


def test_a_run_of_another_dataset_is_not_taken_in(promoted: Promoted, tmp_path: Path) -> None:
    bench, outcome = promoted
    copy = shutil.copytree(outcome["candidates"][0]["run_uri"], tmp_path / "copy")
    summary = json.loads((copy / "summary.json").read_text())
    (copy / "summary.json").write_text(json.dumps({**summary, "fingerprint": "0" * 64}))
    done = bench.ferline(*TINY[:4], "--from-run", str(copy))
    assert done.returncode == 2
    assert "was trained on dataset 0000000000000000" in done.stderr


def test_a_source_that_cannot_be_read_ends_at_once_with_one_error(bench, tmp_path: Path) -> None:
    (tmp_path / "faces.csv").write_text("emotion,pixels\n9,1 2 3\n")
    started = time.monotonic()
    done = bench.ferline("run", "train-pipeline", "--source", str(tmp_path / "faces.csv"))
    assert done.returncode == 2
    assert done.stderr.rstrip().splitlines()[-1].startswith("error: ") or "error: " in done.stderr
    assert "Retrying" not in done.stderr + done.stdout
    assert time.monotonic() - started < 120


def test_after_kill_9_the_next_run_goes_on_from_the_last_stage_and_checkpoint(bench) -> None:
    arguments = (*TINY, "--set", "epochs=8", "--json")
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen(bench.command(*arguments), env=bench.environment, **silent)
    deadline = time.monotonic() + 200
    while not list(bench.home.glob("runs/*/checkpoints/*/trainer_state.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in [*psutil.Process(child.pid).children(recursive=True), child]:
        process.kill()
    child.wait()
    assert not list(bench.home.glob("store/runs/*"))
    done = bench.ferline(*arguments)
    assert json.loads(done.stdout)["verdict"] == "Promoted", done.stderr[-2000:]
    assert "resuming from step" in done.stderr
    assert "Task run 'ingest" in done.stderr
    assert "perceptual hashes" not in done.stderr


def test_a_training_that_explains_itself_is_not_tried_again(tmp_path: Path) -> None:
    from components.errors import RecipeError

    (tmp_path / "recipe.json").write_text('{"no_such_key": 1}')
    paths = (tmp_path / name for name in ("data", "sample.npz", "out"))
    with pytest.raises(RecipeError, match="no_such_key"):
        run_training(tmp_path / "recipe.json", "quick", *paths, say=lambda _: None, epoch=lambda _: None)
