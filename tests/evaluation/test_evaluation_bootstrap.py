"""Intervals: they cover what they should, pair what they should and repeat."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from components.evaluation.bootstrap import intervals, paired_difference

Labels = npt.NDArray[np.int64]


def exam(n: int, accuracy: float, seed: int) -> tuple[Labels, Labels, Labels]:
    """Truth and two models of that accuracy which agree on most images."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, n)
    first = np.where(rng.random(n) < accuracy, labels, (labels + rng.integers(1, 7, n)) % 7)
    other = np.where(rng.random(n) < accuracy, labels, (labels + rng.integers(1, 7, n)) % 7)
    return labels, first, np.where(rng.random(n) < 0.8, first, other)


def test_the_interval_covers_the_true_accuracy_about_19_times_in_20() -> None:
    found = [intervals(*exam(400, 0.6, seed)[:2])[0] for seed in range(200)]
    covered = np.mean([interval.low <= 0.6 <= interval.high for interval in found])
    assert 0.90 <= covered <= 0.99, f"covered {covered:.3f}"


def test_drawing_counts_equals_drawing_images() -> None:
    labels, answers, _ = exam(300, 0.6, 1)
    rng = np.random.default_rng(5)
    rows = rng.integers(0, 300, (1000, 300))
    by_images = [
        f1_score(labels[row], answers[row], average="macro", labels=np.unique(labels[row]), zero_division=0)
        for row in rows
    ]
    interval = intervals(labels, answers)[1]
    low, high = np.quantile(by_images, [0.025, 0.975])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.012)


def test_the_interval_narrows_with_the_root_of_the_images() -> None:
    widths = [
        (found := intervals(*exam(n, 0.6, 2)[:2])[1]).high - found.low for n in (200, 3200)
    ]  # sixteen times the images
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.25)


def test_pairing_takes_out_what_both_models_share() -> None:
    labels, first, second = exam(2000, 0.6, 3)
    paired = paired_difference(labels, first, second)
    alone = [found.high - found.low for found in (intervals(labels, first)[1], intervals(labels, second, seed=1)[1])]
    assert paired.high - paired.low < 0.7 * float(np.hypot(*alone))


@given(st.integers(0, 10_000), st.integers(1, 200), st.floats(0.1, 0.9))
@settings(deadline=None, max_examples=25)
def test_a_model_against_itself_differs_by_nothing(seed: int, n: int, accuracy: float) -> None:
    labels, first, _ = exam(n, accuracy, seed)
    assert paired_difference(labels, first, first) == paired_difference(labels, first, first, seed=9)
    assert paired_difference(labels, first, first).low == paired_difference(labels, first, first).high == 0


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=15)
def test_exchanging_the_models_mirrors_the_interval(seed: int) -> None:
    labels, first, second = exam(500, 0.6, seed)
    there, back = paired_difference(labels, first, second), paired_difference(labels, second, first)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=0.01)


def test_a_clearly_better_model_is_found_better_and_the_same_seed_repeats() -> None:
    labels, good, _ = exam(1000, 0.7, 4)
    _, worse, _ = exam(1000, 0.5, 4)
    found = paired_difference(labels, good, worse, 0.99)
    assert found.low > 0.1
    assert found == paired_difference(labels, good, worse, 0.99)
    assert found != paired_difference(labels, good, worse, 0.99, seed=1)
