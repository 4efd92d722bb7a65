"""A finished run folder as a network again: a teacher, or weights to go on from."""

from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from components.errors import ModelNotFound
from components.models.base import FaceModel
from components.models.build import build_model
from components.training.recipes import from_json

RECIPE, SUMMARY, WEIGHTS = "recipe.json", "summary.json", "model.safetensors"


def load_run(folder: Path) -> FaceModel:
    """The network that a training wrote to `folder`, in evaluation mode; raises ModelNotFound."""
    missing = [name for name in (RECIPE, WEIGHTS, SUMMARY) if not (folder / name).is_file()]
    if missing:
        raise ModelNotFound(f"{folder} is no finished run: it lacks {', '.join(missing)}.")
    recipe = from_json((folder / RECIPE).read_text()).model
    if recipe.name != "vit":  # whose size its first weights decide; the others' are all in the recipe
        recipe = replace(recipe, pretrained="")
    model = build_model(recipe)
    model.load_state_dict(load_file(folder / WEIGHTS))
    return model.eval()
