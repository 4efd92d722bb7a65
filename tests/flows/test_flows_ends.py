"""How trainings end: what is tried again, and what would end the same way."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.dataset import Dataset
from components.errors import TrainingError, TrainingHopeless
from components.training.follow import run_training
from components.training.recipes import load_preset
from flows import tasks, train
from flows.parameters import TrainingParameters

SIDE_BY_SIDE = TrainingParameters(side_by_side=True)


def test_a_child_says_that_another_try_would_not_help(tiny_dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(load_preset("quick").to_json())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "recipe.json").write_text(json.dumps("another"))
    paths = (tiny_dataset.root, None, tmp_path / "out")
    with pytest.raises(TrainingHopeless, match=r"^training of quick: .* holds a run of another recipe: name another"):
        run_training(tmp_path / "recipe.json", "quick", *paths, say=lambda _: None, epoch=lambda _: None)


@pytest.mark.parametrize(("error", "again"), [(TrainingHopeless("nan"), False), (TrainingError("full disk"), True)])
def test_only_what_may_end_otherwise_is_tried_again(error: Exception, again: bool) -> None:
    def result() -> None:
        raise error

    assert tasks.can_help(None, None, SimpleNamespace(result=result)) is again  # type: ignore[arg-type]


class Ended:
    """A training that was handed over."""

    def __init__(self, preset: str, *_: object) -> None:
        self.preset = preset

    def wait(self) -> None:
        pass

    def result(self) -> str:
        if self.preset == "bad":
            raise TrainingHopeless("the loss is no number any more")
        return f"runs/{self.preset}"


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Trainings that were begun anew, by preset."""
    anew: list[Any] = []

    def options(**_: Any) -> Any:
        return lambda preset, *_: anew.append(preset) or f"runs/{preset}"

    monkeypatch.setattr(train, "train_task", SimpleNamespace(submit=Ended, with_options=options))
    monkeypatch.setattr(train, "reuse", lambda *_: pytest.fail("called once more"))
    monkeypatch.setattr(train, "balanced", lambda dataset, recipe: "samples/1")
    return anew


def test_what_failed_side_by_side_is_not_trained_once_more(begun: list[Any]) -> None:
    recipes = {"good": load_preset("quick"), "bad": load_preset("quick")}
    train.store().put_bytes("runs/good", b"")
    with pytest.raises(TrainingHopeless):
        train._train(recipes, "datasets/1", SIDE_BY_SIDE)
    assert begun == []


def test_a_run_that_is_gone_from_the_store_is_trained_anew_and_no_other(begun: list[Any]) -> None:
    recipes = {"good": load_preset("quick"), "gone": load_preset("quick")}
    train.store().put_bytes("runs/good", b"")
    assert train._train(recipes, "datasets/1", SIDE_BY_SIDE) == {"good": "runs/good", "gone": "runs/gone"}
    assert begun == ["gone"]
