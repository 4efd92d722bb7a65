"""One model on one split: every figure, its predictions and its pictures, in a folder."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.dataset import Dataset
from components.evaluation.behaviour import behaviour
from components.evaluation.calibration import expected_calibration_error, reliability, uncalibrated
from components.evaluation.metrics import by_class, confusion, figures
from components.evaluation.records import Evaluation, SliceFigures
from components.evaluation.scoring import score, speed
from components.evaluation.slices import has_twin, slice_masks
from components.labels import CLASSES

RECORD, PREDICTIONS = "evaluation.json", "predictions.parquet"
CONFUSION, RELIABILITY = "confusion.png", "reliability.png"


def digest(dataset: Dataset, rows: npt.NDArray[np.int64]) -> str:
    """sha256 over (id, label) of the rows in order: names the frozen test images."""
    part = dataset.manifest.loc[rows]
    return hashlib.sha256("\n".join(part["id"].str.cat(part["label"].astype(str), sep=" ")).encode()).hexdigest()


def evaluate(
    model: Path,
    dataset: Dataset,
    split: str,
    out: Path,
    name: str,
    temperature: float,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score model.onnx on a split and write evaluation.json (last), predictions.parquet and two pictures into `out`.

    temperature: the one inside the graph, needed for the calibration error before it.
    Raises DataError for an unknown split, ModelNotFound for no model.
    """
    from components.evaluation.figures import confusion_png, reliability_png  # matplotlib: 0.5 s

    rows = dataset.rows(split)
    images, labels = np.asarray(dataset.images[rows]), dataset.labels[rows]
    probabilities = score(model, images, progress=progress).probabilities
    evaluation = _figures(model, dataset, split, name, temperature, probabilities)
    out.mkdir(parents=True)
    _predictions(dataset, rows, probabilities).to_parquet(out / PREDICTIONS, index=False)
    (out / CONFUSION).write_bytes(confusion_png(evaluation.confusion, f"{name}, {split}, n = {len(labels)}"))
    (out / RELIABILITY).write_bytes(reliability_png(reliability(probabilities, labels), name))
    (out / RECORD).write_text(evaluation.to_json())
    return evaluation


def _figures(
    model: Path, dataset: Dataset, split: str, name: str, temperature: float, probabilities: npt.NDArray[np.float32]
) -> Evaluation:
    rows = dataset.rows(split)
    images, labels = np.asarray(dataset.images[rows]), dataset.labels[rows]
    answers, twin = probabilities.argmax(1).astype(np.int64), has_twin(dataset, rows)
    masks = slice_masks(dataset, rows)
    latency_ms, images_per_second = speed(model, images)
    return Evaluation(
        model=name,
        split=split,
        test_digest=digest(dataset, rows),
        dataset_fingerprint=dataset.info.fingerprint,
        figures=figures(probabilities, labels),
        without_twins=figures(probabilities[~twin], labels[~twin]) if (~twin).any() else None,
        twins=int(twin.sum()),
        per_class=by_class(labels, answers),
        confusion=tuple(tuple(row) for row in confusion(labels, answers).tolist()),
        ece=expected_calibration_error(probabilities, labels),
        ece_uncalibrated=expected_calibration_error(uncalibrated(probabilities, temperature), labels),
        temperature=temperature,
        slices=tuple(SliceFigures(part, figures(probabilities[mask], labels[mask])) for part, mask in masks.items()),
        behaviour=behaviour(model, images, answers),
        latency_ms=latency_ms,
        images_per_second=images_per_second,
    )


def _predictions(dataset: Dataset, rows: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]) -> pd.DataFrame:
    """id, label and p_<class>, in the order of the split."""
    frame = dataset.manifest.loc[rows, ["id", "label"]].reset_index(drop=True)
    return frame.assign(**{f"p_{name}": probabilities[:, i] for i, name in enumerate(CLASSES)})
