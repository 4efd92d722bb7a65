"""What a run folder is made of, and a finished one as a network again: a teacher, or weights to go on from."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from components.balancing.records import Rows, Sample
from components.errors import ModelNotFound, RecipeError, TrainingError
from components.models.base import FaceModel
from components.models.build import RUN_WEIGHTS, reopen_model
from components.training.recipes import read_recipe
from components.training.records import Recipe

RECIPE, DATASET, SAMPLE, SUMMARY = "recipe.json", "dataset.json", "sample.npz", "summary.json"
ONNX, CHECKPOINTS = "model.onnx", "checkpoints"


def require_same_slice(folder: Path, recipe: Recipe) -> None:
    """A run that is gone on from, or teaches, must not have learned what is now the validation slice.

    Seed and data part of a recipe decide the slice; raises RecipeError where they differ from the earlier run's.
    """
    if not (folder / RECIPE).is_file():
        return
    earlier = read_recipe(folder)
    if (earlier.seed, earlier.data) != (recipe.seed, recipe.data):
        raise RecipeError(
            f"{folder} learned from a part of the images that this recipe validates on: its seed is {earlier.seed} and "
            f"this one's {recipe.seed}, or their data parts differ. Give both the same seed and data."
        )


def require_unlearned(folder: Path, fingerprint: str, validation: Rows) -> None:
    """What `require_same_slice` asks for, by the images themselves where both runs are of one dataset version.

    validation: int64 [V], rows of the dataset with this fingerprint. Raises RecipeError.
    """
    files = folder / DATASET, folder / SAMPLE
    if not all(file.is_file() for file in files) or json.loads(files[0].read_text())["fingerprint"] != fingerprint:
        return
    known = len(np.intersect1d(Sample.load(files[1]).train, validation))
    if known:
        raise RecipeError(
            f"{folder} learned from {known} of the {len(validation)} images that this training validates on. Train "
            f"with its own sample: `python -m components.training --sample {files[1]}`."
        )


def load_run(folder: Path) -> FaceModel:
    """The network that a training wrote to `folder`, in evaluation mode; raises ModelNotFound."""
    missing = [name for name in (RECIPE, RUN_WEIGHTS, SUMMARY) if not (folder / name).is_file()]
    if missing:
        raise ModelNotFound(f"{folder} is no finished run: it lacks {', '.join(missing)}.")
    return reopen_model(read_recipe(folder).model, folder / RUN_WEIGHTS).eval()


def write_atomically(path: Path, text: str) -> None:
    """A text in place of what was there, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


@contextmanager
def writing(what: str, path: Path) -> Iterator[None]:
    """A disk that is full as one clear error: raises TrainingError."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        raise TrainingError(
            f"{what} could not be written to {path}: {str(error).splitlines()[0]}. Make room there and start again: "
            "training goes on from what was kept before."
        ) from error
