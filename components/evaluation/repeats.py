"""One recipe under several seeds, and recipes against each other on the same test images.

Two kinds of doubt stand beside each other and are never mixed: how far the seeds of one recipe lie apart (`Spread`),
and how far a figure would move with other test images (the bootstrap's `Interval`, seeds held fixed).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array

from components.errors import DataError
from components.evaluation.bootstrap import RESAMPLES, K, accuracy_of, macro_f1_of, percentiles
from components.evaluation.records import Interval

Labels = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Resamples = Mapping[str, tuple[Values, Values]]
"""Recipe -> accuracy [R] and macro-F1 [R], means over its seeds; draw r is of the same images for every recipe."""
PART = 250
"""Resamples at a time: int64 [3589, 250] is 7 MB."""


@dataclass(frozen=True)
class Spread:
    """A figure over seeds."""

    mean: float
    low: float
    """Least of the seeds."""
    high: float
    sd: float
    """Standard deviation over seeds, n - 1 in the denominator; 0 for a single seed."""
    n: int
    """Seeds."""


@dataclass(frozen=True)
class Gain:
    """What one recipe has over another: means over seeds, and 95 % paired bootstrap intervals over test images."""

    ours: str
    theirs: str
    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval


def spread(values: Sequence[float]) -> Spread:
    """Mean, range and deviation of at least one value."""
    known = np.asarray(values, dtype=np.float64)
    sd = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    return Spread(float(known.mean()), float(known.min()), float(known.max()), sd, len(known))


def resample(labels: Labels, answers: Mapping[str, Sequence[Labels]], seed: int = 0) -> Resamples:
    """Score every recipe on the same resamples of the images, on each the mean over all of its seeds.

    labels: int64 [N]; answers: recipe -> one int64 [N] a seed, to the same images in the same order.
    Raises DataError for answers to another number of images.
    """
    for name, runs in answers.items():
        if not runs or any(len(run) != len(labels) for run in runs):
            raise DataError(f"{name} has no answers, or not one to each of the {len(labels)} test images.")
    cells = {name: [_cells(labels, run) for run in runs] for name, runs in answers.items()}
    generator, n = np.random.default_rng(seed), len(labels)
    parts: dict[str, list[tuple[Values, Values]]] = {name: [] for name in answers}
    for start in range(0, RESAMPLES, PART):
        size = min(PART, RESAMPLES - start)
        times = np.ascontiguousarray(generator.multinomial(n, np.full(n, 1 / n), size=size).T)  # [N, R]
        for name, runs in cells.items():
            tables = np.stack([(cell @ times).T.reshape(-1, K, K) for cell in runs])  # [seeds, R, K, K]
            parts[name].append((accuracy_of(tables).mean(0), macro_f1_of(tables).mean(0)))
    return {
        name: (np.concatenate([a for a, _ in found]), np.concatenate([f for _, f in found]))
        for name, found in parts.items()
    }


def mean_intervals(drawn: Resamples) -> dict[str, tuple[Interval, Interval]]:
    """Recipe -> 95 % bootstrap intervals of its accuracy and macro-F1, each the mean over its seeds."""
    return {name: (percentiles(accuracy), percentiles(macro_f1)) for name, (accuracy, macro_f1) in drawn.items()}


def gains(labels: Labels, answers: Mapping[str, Sequence[Labels]], drawn: Resamples) -> tuple[Gain, ...]:
    """Every recipe against every later one, both scored on the same resampled images.

    labels, answers: as `resample` has them, whose result `drawn` is.
    """
    measured = {name: _figures(labels, runs) for name, runs in answers.items()}
    names = list(answers)
    return tuple(
        Gain(
            ours, theirs,
            measured[ours][0] - measured[theirs][0], percentiles(drawn[ours][0] - drawn[theirs][0]),
            measured[ours][1] - measured[theirs][1], percentiles(drawn[ours][1] - drawn[theirs][1]),
        )
        for i, ours in enumerate(names) for theirs in names[i + 1 :]
    )  # fmt: skip


def _figures(labels: Labels, runs: Sequence[Labels]) -> tuple[float, float]:
    """Accuracy and macro-F1, means over the runs."""
    tables = np.stack([np.bincount(labels * K + run, minlength=K * K).reshape(K, K) for run in runs])
    return float(accuracy_of(tables).mean()), float(macro_f1_of(tables).mean())


def _cells(labels: Labels, run: Labels) -> csc_array:
    """[49, N]: a 1 in each image's cell of the confusion table."""
    n = len(labels)
    return csc_array((np.ones(n, np.int64), labels * K + run, np.arange(n + 1)), shape=(K * K, n))
