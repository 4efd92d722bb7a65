"""What stands in the name of a stored result: all that decides it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.dataset import Dataset, file_sha256
from components.errors import GateError, RecipeError
from components.training.recipes import load_preset, override
from flows import audit, candidates, digests, tasks, train
from flows.candidates import ModelFolder, evaluated
from flows.context import _sources
from flows.parameters import SearchParameters, TrainingParameters
from flows.places import outside_digest
from flows.search import study_name

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """model.onnx of whichever model is asked for."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"one")
    for module in (candidates, tasks):
        monkeypatch.setattr(module, "model_folder", lambda uri: ModelFolder(path, 1.0, uri))
    return path


def test_an_evaluation_is_of_the_graph_and_not_of_a_versions_number(
    graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(tasks, "reuse", lambda stage, *inputs: asked.append(inputs) or "evaluations/1")
    tasks.scored("champion", "models:/1", "datasets/1")
    graph.write_bytes(b"another registry's first version")
    tasks.scored("champion", "models:/1", "datasets/1")
    assert asked[0] != asked[1]
    assert file_sha256(graph) in asked[1]


def test_the_gate_takes_no_figures_of_another_model(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "fetch", Path)
    with pytest.raises(GateError, match=r"evaluations/0123-x is of another model than models:/1"):
        evaluated("champion", "models:/1", "evaluations/0123-x", "1")


@pytest.mark.parametrize("key", ["model.pretrained", "distill.teacher"])
def test_weights_that_change_in_place_are_trained_from_anew(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(train, "reuse", lambda stage, *inputs: asked.append(inputs) or "runs/1")
    monkeypatch.setattr(train, "balanced", lambda dataset, recipe: "samples/1")
    monkeypatch.setattr(tasks, "fetch", lambda uri: tmp_path)
    monkeypatch.setattr(tasks, "read_info", lambda folder: SimpleNamespace(fingerprint="f"))
    (tmp_path / "sample.npz").write_bytes(b"rows")
    recipe, named = load_preset("quick"), []
    changed = override(recipe, [f"{key}={tmp_path}"])
    for weights in (b"one", b"another", b"one"):
        (tmp_path / "model.safetensors").write_bytes(weights)
        train._train({"quick": changed}, "datasets/1", TrainingParameters())
        named.append(tasks.run_folder(changed, "datasets/1", "samples/1", "code").name)
    assert asked[0] == asked[2] != asked[1]
    assert named[0] == named[2] != named[1]


def test_a_search_whose_weights_changed_is_another_search(tmp_path: Path) -> None:
    base, search = override(load_preset("quick"), [f"model.pretrained={tmp_path / 'w.pt'}"]), SearchParameters()
    assert outside_digest(base) == ""
    names = []
    for weights in (b"one", b"another"):
        (tmp_path / "w.pt").write_bytes(weights)
        names.append(study_name(search, base, "d"))
    assert names[0] != names[1]


def test_an_audit_is_named_by_its_own_code_too(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    finished = SimpleNamespace(uri="store", exists=lambda place: not asked.append(place))
    for name, value in (("store", lambda: finished), ("fetch", lambda uri: tiny_dataset.root)):
        monkeypatch.setattr(audit, name, value)
    monkeypatch.setattr(audit.AuditReport, "from_json", lambda text: None)
    monkeypatch.setattr(audit, "REPORT", "dataset.json")
    for code in ("one", "another"):
        monkeypatch.setattr(audit, "audit_code", lambda code=code: code)
        audit.audit_labels("datasets/1", "quick", load_preset("quick"), 4, print)
    assert asked[0] != asked[1]


@pytest.mark.parametrize("room", ["audit", "balancing"])
def test_the_code_of_an_audit_is_more_than_its_trainings(room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "code_version", lambda *rooms: " ".join(rooms))
    assert f"components/{room}" in digests.audit_code().split()


def test_two_runs_of_one_name_are_not_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "read_summary", lambda folder: SimpleNamespace(preset="quick"))
    assert list(train._named(("a/run", "b/run-2"))) == ["quick (run)", "quick (run-2)"]
    with pytest.raises(RecipeError, match=r"a/run and b/run would both be called 'quick \(run\)'"):
        train._named(("a/run", "b/run"))


def test_figures_reach_mlflow_from_a_store_on_a_server_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow_run").write_text("r1")
    logged: dict[str, float] = {}

    @contextmanager
    def track(key: str, name: str, parameters: dict[str, str]) -> Iterator[Any]:
        assert key == "abc"
        yield SimpleNamespace(log_metrics=logged.update, log_files=lambda file: None)

    monkeypatch.setattr(tasks, "fetch", lambda uri: tmp_path)
    monkeypatch.setattr(tasks, "registry", lambda: SimpleNamespace(track=track))
    figures = SimpleNamespace(figures=SimpleNamespace(macro_f1=0.6, accuracy=0.7))
    tasks._log_evaluation("quick", "s3://bucket/runs/abc", figures, tmp_path)  # type: ignore[arg-type]
    assert logged == {"public_test_macro_f1": 0.6, "public_test_accuracy": 0.7}


def test_a_search_from_a_preset_that_changed_is_another_search() -> None:
    base, search = load_preset("quick"), SearchParameters()
    assert study_name(search, base, "d") == study_name(replace(search, trials=99), base, "d")
    assert study_name(search, base, "d") != study_name(search, replace(base, epochs=base.epochs + 1), "d")


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_that_optuna_cannot_take_is_refused_at_once(seed: int) -> None:
    with pytest.raises(RecipeError, match=rf"search.seed is {seed}; it must lie between"):
        SearchParameters(seed=seed)


def test_a_page_made_of_a_changed_template_is_made_anew() -> None:
    names = {file.name for file in _sources(REPOSITORY / "components" / "report")}
    assert {"report.html", "comparison.html"} <= names
