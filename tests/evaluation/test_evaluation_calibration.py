"""Temperature and calibration error on data whose truth is known."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from components.evaluation.calibration import (
    expected_calibration_error,
    fit_temperature,
    reliability,
    uncalibrated,
)

Floats = npt.NDArray[np.float64]


def calibrated(n: int, seed: int = 0) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Logits, and labels drawn from their softmax."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 7))
    labels = (softmax(logits, axis=1).cumsum(1) > rng.random((n, 1))).argmax(1)
    return logits, labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 6.0])
def test_a_known_temperature_is_found_again(temperature: float) -> None:
    logits, labels = calibrated(20_000)
    found = fit_temperature(logits * temperature, labels)
    assert found == pytest.approx(temperature, rel=0.04), f"off by {found - temperature:+.4f}"


def test_temperature_scaling_mends_the_calibration_of_an_overconfident_model() -> None:
    logits, labels = calibrated(5000)
    before = expected_calibration_error(softmax(3 * logits, axis=1), labels)
    after = expected_calibration_error(softmax(3 * logits / fit_temperature(3 * logits, labels), axis=1), labels)
    assert before > 0.2
    assert after < 0.03


def test_calibrated_probabilities_have_almost_no_calibration_error() -> None:
    logits, labels = calibrated(50_000)
    assert expected_calibration_error(softmax(logits, axis=1), labels) < 0.01


def test_a_model_that_is_sure_and_always_wrong_has_the_whole_error() -> None:
    assert expected_calibration_error(np.eye(7)[[0, 1, 2]], np.array([1, 2, 3])) == 1


@given(st.floats(0.3, 4), st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_undoing_a_temperature_gives_back_the_plain_softmax(temperature: float, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, (20, 7))
    plain = uncalibrated(softmax(logits / temperature, axis=1).astype(np.float32), temperature)
    difference = np.abs(plain - softmax(logits, axis=1))
    assert difference.max() < 1e-5, f"max {difference.max():.2e}, mean {difference.mean():.2e}"


def test_the_bins_hold_every_image_once_and_edges_belong_below() -> None:
    probabilities = np.array([[0.4, 0.6], [0.2, 0.8], [0.0, 1.0]])  # 0.4, 0.6, 0.8: edges of five bins
    bins = reliability(probabilities, np.array([1, 0, 1]), bins=5)
    assert [(b.n, round(b.confidence, 6), b.accuracy) for b in bins] == [(1, 0.6, 1), (1, 0.8, 0), (1, 1.0, 1)]
