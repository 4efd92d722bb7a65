"""One recipe under several seeds, and recipes against each other on the same test images.

Two kinds of doubt stand beside each other and are never mixed: how far the seeds of one recipe lie apart (`Spread`),
and how far a figure would move with other test images (the bootstrap's `Interval`, seeds held fixed).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.errors import DataError
from components.evaluation.bootstrap import RESAMPLES, K, accuracy_of, macro_f1_of, percentiles
from components.evaluation.records import Interval

Labels = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
PART = 250
"""Resamples at a time: float64 [250, 3589] is 7 MB."""


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


def mean_intervals(
    labels: Labels, answers: Mapping[str, Sequence[Labels]], seed: int = 0
) -> dict[str, tuple[Interval, Interval]]:
    """Recipe -> 95 % bootstrap intervals of its accuracy and macro-F1, each the mean over its seeds.

    labels, answers, errors: as `gains` has them; the same seed draws the same images there.
    """
    return {name: (percentiles(a), percentiles(f)) for name, (a, f) in _resampled(labels, answers, seed).items()}


def gains(labels: Labels, answers: Mapping[str, Sequence[Labels]], seed: int = 0) -> tuple[Gain, ...]:
    """Every recipe against every later one, both scored on the same resampled images.

    labels: int64 [N]; answers: recipe -> one int64 [N] a seed, to the same images in the same order. Each resample
    scores all of a recipe's seeds and takes their mean. Raises DataError for answers to another number of images.
    """
    drawn = _resampled(labels, answers, seed)
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


def _resampled(labels: Labels, answers: Mapping[str, Sequence[Labels]], seed: int) -> dict[str, tuple[Values, Values]]:
    """Recipe -> accuracy [R] and macro-F1 [R], means over its seeds, every recipe on the same R draws of images."""
    for name, runs in answers.items():
        if not runs or any(len(run) != len(labels) for run in runs):
            raise DataError(f"{name} has no answers, or not one to each of the {len(labels)} test images.")
    cells = {name: [np.eye(K * K)[labels * K + run] for run in runs] for name, runs in answers.items()}  # [N, 49] each
    generator, n = np.random.default_rng(seed), len(labels)
    parts: dict[str, list[tuple[Values, Values]]] = {name: [] for name in answers}
    for start in range(0, RESAMPLES, PART):
        times = generator.multinomial(n, np.full(n, 1 / n), size=min(PART, RESAMPLES - start)).astype(np.float64)
        for name, runs in cells.items():
            tables = np.stack([(times @ cell).reshape(-1, K, K) for cell in runs])  # [seeds, R, K, K]
            parts[name].append((accuracy_of(tables).mean(0), macro_f1_of(tables).mean(0)))
    return {
        name: (np.concatenate([a for a, _ in found]), np.concatenate([f for _, f in found]))
        for name, found in parts.items()
    }
