"""A finished run folder as a network again: a teacher, or weights to go on from."""

from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from components.errors import ModelNotFound, RecipeError
from components.models.base import FaceModel
from components.models.build import RUN_WEIGHTS, build_model
from components.training.recipes import from_json
from components.training.records import Recipe

RECIPE, SUMMARY, CHECKPOINTS = "recipe.json", "summary.json", "checkpoints"


def require_same_slice(folder: Path, recipe: Recipe) -> None:
    """A run that training goes on from must not have learned what is now the validation slice.

    Seed and data part of a recipe decide the slice; raises RecipeError where they differ from the earlier run's.
    """
    if not (folder / RECIPE).is_file():
        return
    earlier = from_json((folder / RECIPE).read_text())
    if (earlier.seed, earlier.data) != (recipe.seed, recipe.data):
        raise RecipeError(
            f"{folder} learned from a part of the images that this recipe validates on: its seed is {earlier.seed} and "
            f"this one's {recipe.seed}, or their data parts differ. Give both the same seed and data."
        )


def load_run(folder: Path) -> FaceModel:
    """The network that a training wrote to `folder`, in evaluation mode; raises ModelNotFound."""
    missing = [name for name in (RECIPE, RUN_WEIGHTS, SUMMARY) if not (folder / name).is_file()]
    if missing:
        raise ModelNotFound(f"{folder} is no finished run: it lacks {', '.join(missing)}.")
    recipe = from_json((folder / RECIPE).read_text()).model
    if recipe.name != "vit":  # whose size its first weights decide; the others' are all in the recipe
        recipe = replace(recipe, pretrained="")
    model = build_model(recipe)
    model.load_state_dict(load_file(folder / RUN_WEIGHTS))
    return model.eval()
