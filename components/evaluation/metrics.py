"""Figures of probabilities against labels, by scikit-learn where it has them.

Where a figure divides by zero (a class that is never predicted, or that no image bears) it is 0.
"""

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from components.evaluation.bootstrap import accuracy_of, intervals, macro_f1_of
from components.evaluation.records import ClassFigures, Figures
from components.labels import CLASSES

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]
ALL = list(range(len(CLASSES)))
LEAST = 1e-12  # a probability of 0 for the true class costs 27.6 nats, not infinity


def confusion(labels: Labels, answers: Labels) -> npt.NDArray[np.int64]:
    """int64 [7, 7], true class by predicted class."""
    table: npt.NDArray[np.int64] = confusion_matrix(labels, answers, labels=ALL).astype(np.int64)
    return table


def nll(probabilities: Floats, labels: Labels) -> float:
    """The one test loss of all models, whatever they were trained with: mean -log p(true class), in nats.

    probabilities: [N, 7], calibrated.
    """
    true = np.clip(probabilities[np.arange(len(labels)), labels].astype(np.float64), LEAST, 1)
    return float(-np.log(true).mean())


def figures(probabilities: Floats, labels: Labels, seed: int = 0) -> Figures:
    """All figures with bootstrap intervals. probabilities: [N, 7] calibrated; labels: [N], N >= 1."""
    answers = probabilities.argmax(1).astype(np.int64)
    table = confusion(labels, answers)
    accuracy, macro = intervals(labels, answers, seed)
    return Figures(
        n=len(labels),
        accuracy=float(accuracy_of(table)),
        accuracy_interval=accuracy,
        macro_f1=float(macro_f1_of(table)),
        macro_f1_interval=macro,
        weighted_f1=float(f1_score(labels, answers, average="weighted", labels=ALL, zero_division=0)),
        nll=nll(probabilities, labels),
    )


def by_class(labels: Labels, answers: Labels) -> tuple[ClassFigures, ...]:
    """Precision, recall, F1 and support of every class."""
    columns = precision_recall_fscore_support(labels, answers, labels=ALL, zero_division=0)
    return tuple(
        ClassFigures(name, float(p), float(r), float(f), int(n))
        for name, p, r, f, n in zip(CLASSES, *columns, strict=True)
    )
