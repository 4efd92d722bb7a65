"""Temperature scaling and expected calibration error (Guo et al. 2017, arXiv 1706.04599)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

BINS = 15
Floats = npt.NDArray[np.floating]


def fit_temperature(logits: Floats, labels: npt.NDArray[np.int64]) -> float:
    """Temperature in 0.05 to 20 that minimises the negative log likelihood. logits: [V, 7]; labels: [V]."""
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x))


def uncalibrated(probabilities: Floats, temperature: float) -> npt.NDArray[np.float64]:
    """Undo a temperature: softmax(T log p), [N, 7]."""
    recovered: npt.NDArray[np.float64] = softmax(temperature * np.log(np.maximum(probabilities, 1e-30)), axis=1)
    return recovered


@dataclass(frozen=True)
class Bin:
    """Images whose confidence lies in one of the equal-width bins."""

    confidence: float
    accuracy: float
    n: int


def reliability(probabilities: Floats, labels: npt.NDArray[np.int64], bins: int = BINS) -> tuple[Bin, ...]:
    """Mean confidence and accuracy by bin, empty bins left out."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    filled = (np.flatnonzero(index == b) for b in range(bins))
    return tuple(Bin(float(confidence[i].mean()), float(right[i].mean()), len(i)) for i in filled if len(i))


def expected_calibration_error(probabilities: Floats, labels: npt.NDArray[np.int64]) -> float:
    """Mean gap between confidence and accuracy, bins weighted by their images; 0 to 1."""
    return float(sum(b.n * abs(b.confidence - b.accuracy) for b in reliability(probabilities, labels)) / len(labels))
