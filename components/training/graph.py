"""The graph of a finished run; on a machine that cannot write one, where the run is taken in."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.balancing.records import Sample
from components.dataset import Dataset, file_sha256
from components.errors import TrainingError
from components.models.base import FaceModel
from components.models.export import export_onnx
from components.models.quantise import quantise
from components.training import read_summary
from components.training.recipes import read_recipe
from components.training.records import Recipe
from components.training.runs import ONNX, SAMPLE, SUMMARY, load_run, write_atomically

CALIBRATION = 256
"""Validation images that an 8-bit graph is calibrated on."""


def can_export() -> bool:
    """Whether this machine has what torch's exporter needs; a bare one need not."""
    return find_spec("onnxscript") is not None


def write_graph(
    model: FaceModel,
    recipe: Recipe,
    temperature: float,
    dataset: Dataset,
    validation: npt.NDArray[np.int64],
    path: Path,
) -> None:
    """Export for images of the dataset's size, in 8 bits where the recipe says so. validation: int64 [V], rows."""
    export_onnx(model, temperature, dataset.info.height, dataset.info.width, path, recipe.test_flips)
    if recipe.int8:
        shown = np.random.default_rng(recipe.seed).permutation(validation)[:CALIBRATION]
        quantise(path, np.array(dataset.images[np.sort(shown)]))


def write_missing(run: Path, dataset: Dataset) -> None:
    """Write the graph that the machine of a training could not.

    Raises TrainingError where the run is of another dataset, or this machine cannot export either.
    """
    summary = read_summary(run)
    if summary.fingerprint != dataset.info.fingerprint:
        raise TrainingError(f"{run} has no graph yet and needs its own dataset for it, {summary.fingerprint[:16]}.")
    if not can_export():
        raise TrainingError(f"{run} has no graph yet, and the exporter is not here: install onnxscript.")
    validation = Sample.load(run / SAMPLE).validation
    write_graph(load_run(run), read_recipe(run), summary.temperature, dataset, validation, run / ONNX)
    summary = replace(summary, model_sha256=file_sha256(run / ONNX))
    write_atomically(run / SUMMARY, summary.to_json())
