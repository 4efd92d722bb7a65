"""The clock of benchmarks/speedrun.py: it stops a training at the goal, and tells what every epoch came to."""

import pytest

from benchmarks import speedrun
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
