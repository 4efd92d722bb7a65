"""How good answers were, where people told the truth about them later."""

from dataclasses import dataclass

import numpy as np

from components.evaluation.bootstrap import Labels, accuracy_of, intervals, macro_f1_of
from components.evaluation.records import Interval
from components.labels import CLASSES

K = len(CLASSES)


@dataclass(frozen=True)
class Quality:
    """Against the labels that came, 95 % intervals."""

    labelled: int
    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval


def quality(labels: Labels, answers: Labels) -> Quality:
    """Figures of answers. labels, answers: int64 [N], N >= 1."""
    table = np.bincount(labels * K + answers, minlength=K * K).reshape(K, K)
    accuracy, macro_f1 = intervals(labels, answers)
    return Quality(len(labels), float(accuracy_of(table)), accuracy, float(macro_f1_of(table)), macro_f1)
