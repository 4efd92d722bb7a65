"""What stands in the name of a stored result: all that decides it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.dataset import file_sha256
from components.errors import GateError, RecipeError
from components.training.recipes import load_preset
from flows import candidates, tasks
from flows.candidates import ModelFolder, evaluated
from flows.context import _sources
from flows.parameters import SearchParameters
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
