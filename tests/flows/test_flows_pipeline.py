"""train-pipeline from source to champion on a tiny dataset, and what a second run makes of the first."""

import json
import shutil
from pathlib import Path

import pytest

from components.registry import Registry
from components.training.follow import run_training
from tests.flows.conftest import TINY, Promoted


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


def test_the_private_test_is_opened_once_and_the_ledger_says_so(promoted: Promoted) -> None:
    bench, outcome = promoted
    run, data = outcome["candidates"][0]["run_uri"], outcome["dataset_uri"]
    opened = bench.document("evaluate", run, "--data", data, "--final", "--reason", "end of the test")
    assert opened["split"] == "PrivateTest"
    entries = [e for e in bench.document("models", "history") if e["action"] == "open"]
    assert len(entries) == 1
    assert entries[0]["reason"].startswith("end of the test")
    refused = bench.ferline("evaluate", run, "--data", data, "--final")
    assert refused.returncode == 4
    assert f"{entries[0]['at']} by {entries[0]['who']}, end of the test" in refused.stderr
    assert "--again" in refused.stderr


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
    done = bench.ferline("run", "train-pipeline", "--source", str(tmp_path / "faces.csv"))
    assert done.returncode == 2
    assert "error: " in done.stderr
    assert "Retrying" not in done.stderr + done.stdout


def test_a_training_that_explains_itself_is_not_tried_again(tmp_path: Path) -> None:
    from components.errors import RecipeError

    (tmp_path / "recipe.json").write_text('{"no_such_key": 1}')
    paths = (tmp_path / name for name in ("data", "sample.npz", "out"))
    with pytest.raises(RecipeError, match="no_such_key"):
        run_training(tmp_path / "recipe.json", "quick", *paths, say=lambda _: None, epoch=lambda _: None)
