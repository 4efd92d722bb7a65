"""The clock of benchmarks/speedrun.py: it stops a training at the goal, and tells what every epoch came to."""

import csv

import pytest

from benchmarks import record, speedrun
from components.dataset import Dataset
from components.training.recipes import load_preset, override, tiny


@pytest.mark.parametrize(("goal", "epochs"), [(0.0, 1), (1.0, 3)])
def test_a_training_ends_at_the_goal_or_with_its_last_epoch(
    goal: float, epochs: int, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speedrun, "GOAL", goal)
    recipe = override(tiny(load_preset("speedrun")), ["epochs=3", "precision=fp32"])
    clock = speedrun.measure(recipe, tiny_dataset)
    assert len(clock.seen) == epochs
    assert all(0 <= accuracy <= 1 for _, accuracy in clock.seen)
    assert [seconds for seconds, _ in clock.seen] == sorted(seconds for seconds, _ in clock.seen)


def test_every_variant_is_a_recipe() -> None:
    recipes = [override(load_preset("speedrun"), assignments) for assignments in speedrun.VARIANTS.values()]
    assert len({recipe.digest for recipe in recipes}) == len(recipes), "each differs from all others"


def test_a_saved_line_says_which_recipe_on_which_device_and_stands_under_the_head_of_the_file() -> None:
    recipe = override(load_preset("speedrun"), ["precision=fp32"])
    line = speedrun.line("speedrun", recipe, [(60.2, 0.7), (120.4, 0.6)])
    row = dict(zip(speedrun.HEAD, line, strict=True))
    assert (row["recipe_sha256"], row["precision"]) == (recipe.digest[:12], "fp32")
    assert str(row["device"])
    assert (row["passed"], row["epochs"], row["seconds"], row["best_accuracy"]) == ("no", 2, "120", "0.7000")
    with (record.RESULTS / "speedrun.csv").open(newline="") as stream:
        kept = list(csv.reader(stream))
    assert kept[0] == ["date", *speedrun.HEAD, "machine"]
    assert {len(row) for row in kept} == {len(kept[0])}
