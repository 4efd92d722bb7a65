"""Do the labels belong to the pixels? A linear probe finds labels shifted by a row where no duplicate tells.

Ridge regression from 12 x 12 block means to one-hot labels, classes weighted equally, fitted on half of the
Training images (near-duplicates kept together) and asked about the other half and every test split, at most 20,000
images of each. It is a weak classifier (29 % of FER-2013), but on labels that belong to other images it does no better
than chance.
"""

import numpy as np
import numpy.typing as npt

from components.dataset import Dataset
from components.labels import CLASSES, TRAINING

Floats = npt.NDArray[np.float64]
SIDE = 12
RIDGE = 1e-3
MOST = 20_000
"""Images that are read at once, 70 MB with their features; more would not make a shift any plainer."""


def label_signal(
    dataset: Dataset, splits: tuple[str, ...], min_training: int, min_images: int
) -> dict[str, float | None]:
    """Split -> standard errors by which its labels are recognised above chance; None where images are too few."""
    split, labels = dataset.manifest["split"].to_numpy(), dataset.labels
    usable = (labels >= 0) & (labels < len(CLASSES))
    training = np.flatnonzero((split == TRAINING) & usable)
    signals: dict[str, float | None] = dict.fromkeys(splits)
    if len(training) < min_training:
        return signals
    fit, held = _halves(training, dataset.manifest["near_group"].to_numpy())
    fit = _some(fit)
    weights = _ridge(_features(dataset.images[fit]), labels[fit])
    for name in splits:
        rows = held if name == TRAINING else np.flatnonzero((split == name) & usable)
        if len(rows) >= min_images:
            rows = _some(rows)
            guesses = (_features(dataset.images[rows]) @ weights).argmax(1)
            signals[name] = _standard_errors(guesses, labels[rows])
    return signals


def _halves(
    rows: npt.NDArray[np.int64], groups: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Two halves of the rows, always the same, with every group on one side."""
    names = np.unique(groups[rows])
    first = np.random.default_rng(0).permutation(names)[: len(names) // 2]
    inside = np.isin(groups[rows], first)
    return rows[inside], rows[~inside]


def _some(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """At most MOST of the rows, always the same, ascending."""
    return rows if len(rows) <= MOST else np.sort(np.random.default_rng(0).choice(rows, MOST, replace=False))


def _features(images: npt.NDArray[np.uint8]) -> Floats:
    """float64 [N, 145]: block means of uint8 [N, H, W], each image standardised, and a constant."""
    _, height, width = images.shape
    down, across = max(1, height // SIDE), max(1, width // SIDE)
    rows, columns = height // down, width // across
    cut = images[:, : rows * down, : columns * across].reshape(-1, rows, down, columns, across)
    blocks = cut.mean((2, 4), dtype=np.float64).reshape(len(images), -1)
    blocks -= blocks.mean(1, keepdims=True)
    blocks /= blocks.std(1, keepdims=True) + 1
    return np.hstack([blocks, np.ones((len(blocks), 1))])


def _ridge(features: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    """Weights float64 [145, 7]; every class counts the same, however many images it has."""
    counts = np.bincount(labels, minlength=len(CLASSES))
    weighted = features * (1.0 / counts[labels])[:, None]
    square = weighted.T @ features + RIDGE * np.count_nonzero(counts) * np.eye(features.shape[1])
    return np.linalg.solve(square, weighted.T @ np.eye(len(CLASSES))[labels]).astype(np.float64)


def _standard_errors(guesses: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> float:
    """(accuracy - the accuracy of the same guesses in another order) / its standard error."""
    n = len(labels)
    chance = float(np.bincount(guesses, minlength=7) @ np.bincount(labels, minlength=7)) / n**2
    error = np.sqrt(max(chance * (1 - chance), 1e-12) / n)
    return round(float(((guesses == labels).mean() - chance) / error), 2)
