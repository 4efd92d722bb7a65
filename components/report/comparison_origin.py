"""What a model owes to weights and teachers outside of its recipe, in words that tell no folder of this machine."""

from collections.abc import Callable
from pathlib import Path

from components.report.comparison_words import NETWORKS
from components.training.records import Recipe

RunOf = Callable[[str], Recipe | None]
"""A name of weights or of a teacher -> the recipe of the run of ours it leads to, None where it leads to none."""


def elsewhere(recipe: Recipe, run_of: RunOf) -> str:
    """`begun from a run of compact ViT, itself from scratch`; empty for a model that has nothing from elsewhere."""
    weights, teachers = recipe.model.pretrained, recipe.distill.teachers
    if not weights and not teachers:
        return ""
    if weights and (recipe.model.name == "compact-vit" or run_of(weights)):  # nothing else can begin a compact-vit
        begun = f"begun from {_run(weights, run_of)}"
    else:
        begun = f"pretrained: {public(weights)}" if weights else "from scratch"
    taught = " and ".join(_run(teacher, run_of) for teacher in teachers)
    return f"{begun}; taught by {taught}" if taught else begun


def _run(name: str, run_of: RunOf) -> str:
    recipe = run_of(name)
    if recipe is None:
        return f"the run {public(name)}, which is not at hand"
    return f"a run of {NETWORKS[recipe.model.name]}, itself {elsewhere(recipe, run_of) or 'from scratch'}"


def public(name: str) -> str:
    """A path from this machine's root by its last part alone; a hub id or a store's URI as it is."""
    return Path(name).name if name.startswith(("/", "~")) else name
