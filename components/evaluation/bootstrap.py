"""Bootstrap intervals (Efron 1979), resampling images; vectorised over resamples.

Accuracy and macro-F1 depend on the confusion counts alone, and the counts of a resample of the images are multinomial
over the cells of the table. So a resample is a draw of cells, and costs the same for any number of images: 2,000 paired
resamples take some hundredths of a second. The seed is fixed, so the same answers give the same interval.
"""

import numpy as np
import numpy.typing as npt

from components.evaluation.records import Interval
from components.labels import CLASSES

RESAMPLES = 2000
K = len(CLASSES)
Labels = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def accuracy_of(tables: Counts | Values) -> Values:
    """Share on the diagonal of confusion tables [..., 7, 7]."""
    share: Values = np.trace(tables, axis1=-2, axis2=-1) / tables.sum((-2, -1))
    return share


def macro_f1_of(tables: Counts | Values) -> Values:
    """Mean F1 over the classes that the images bear; tables [..., 7, 7], true class by answer.

    A class that is only answered costs the true one its recall. As one more F1 of 0 it would take most of the figure of
    a slice in which few classes occur.
    """
    hits, truths = np.diagonal(tables, axis1=-2, axis2=-1), tables.sum(-1)
    total = truths + tables.sum(-2)
    f1 = np.where(truths > 0, 2 * hits / np.where(total > 0, total, 1), 0)  # expected counts can lie below 1
    mean: Values = f1.sum(-1) / np.maximum((truths > 0).sum(-1), 1)
    return mean


def percentiles(values: Values, level: float = 0.95) -> Interval:
    """The middle `level` of the values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def intervals(labels: Labels, answers: Labels, seed: int = 0) -> tuple[Interval, Interval]:
    """95 % intervals of accuracy and macro-F1. labels, answers: int64 [N], N >= 1."""
    tables = _draw(labels * K + answers, K * K, seed).reshape(-1, K, K)
    return percentiles(accuracy_of(tables)), percentiles(macro_f1_of(tables))


def mean_interval(values: Values, seed: int = 0) -> Interval:
    """95 % interval of the mean of one figure an image; where the figures are differences it is a paired one.

    values: [N], N >= 1.
    """
    kinds, cells = np.unique(values, return_inverse=True)
    return percentiles(_draw(cells, len(kinds), seed) @ kinds / len(values))


def paired_difference(
    labels: Labels, challenger: Labels, champion: Labels, level: float = 0.95, seed: int = 0
) -> Interval:
    """Interval of macro-F1(challenger) - macro-F1(champion), both scored on the same resampled images.

    labels, challenger, champion: int64 [N], truth and the two models' answers to the same images in the same order.
    """
    draws = _draw((labels * K + challenger) * K + champion, K**3, seed).reshape(-1, K, K, K)  # truth, new, old
    return percentiles(macro_f1_of(draws.sum(3)) - macro_f1_of(draws.sum(2)), level)


def loss_intervals(
    before: tuple[Labels, Labels], after: tuple[Labels, Labels], level: float = 0.95, seed: int = 0
) -> tuple[Interval, Interval]:
    """Intervals of accuracy and macro-F1 lost from one set of images to another, each resampled by itself.

    before, after: (labels, answers), int64 [N] and [M].
    """
    tables = [
        _draw(labels * K + answers, K * K, seed + k).reshape(-1, K, K)
        for k, (labels, answers) in enumerate((before, after))
    ]
    accuracy, macro_f1 = (figure(tables[0]) - figure(tables[1]) for figure in (accuracy_of, macro_f1_of))
    return percentiles(accuracy, level), percentiles(macro_f1, level)


def _draw(cells: Labels, kinds: int, seed: int) -> Counts:
    """Counts of each kind of image in RESAMPLES resamples of the images, [R, kinds]; cells: kind of each image."""
    counts = np.bincount(cells, minlength=kinds)
    return np.random.default_rng(seed).multinomial(len(cells), counts / len(cells), size=RESAMPLES)
