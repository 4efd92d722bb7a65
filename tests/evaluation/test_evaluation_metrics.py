"""Figures against scikit-learn, for any labels and answers."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss

from components.evaluation.bootstrap import accuracy_of, macro_f1_of
from components.evaluation.metrics import by_class, confusion, figures, nll

Labels = npt.NDArray[np.int64]
PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)


def split(pairs: list[tuple[int, int]]) -> tuple[Labels, Labels]:
    labels, answers = np.array(pairs, dtype=np.int64).T
    return labels, answers


@given(PAIRS)
@settings(deadline=None)
def test_accuracy_and_macro_f1_of_a_table_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    labels, answers = split(pairs)
    table = confusion(labels, answers)
    assert table.tolist() == confusion_matrix(labels, answers, labels=range(7)).tolist()
    assert accuracy_of(table) == pytest.approx(accuracy_score(labels, answers))
    assert macro_f1_of(table) == pytest.approx(
        f1_score(labels, answers, average="macro", labels=np.unique(labels), zero_division=0)
    )


@given(PAIRS)
@settings(deadline=None, max_examples=20)
def test_figures_lie_inside_their_intervals_bounds(pairs: list[tuple[int, int]]) -> None:
    labels, answers = split(pairs)
    f = figures(np.eye(7)[answers], labels)
    assert f.n == len(labels)
    for interval in (f.accuracy_interval, f.macro_f1_interval):
        assert 0 <= interval.low <= interval.high <= 1
    assert f.accuracy_interval.low <= f.accuracy <= f.accuracy_interval.high
    assert f.weighted_f1 == pytest.approx(f1_score(labels, answers, average="weighted", zero_division=0))


def test_a_part_with_two_classes_is_not_pulled_down_by_the_five_it_lacks() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice([3, 6], 60)
    answers = np.where(rng.random(60) < 0.7, labels, rng.integers(0, 7, 60))
    f, (_, _, _, happy, _, _, neutral) = figures(np.eye(7)[answers], labels), by_class(labels, answers)
    assert f.macro_f1 == pytest.approx((happy.f1 + neutral.f1) / 2)
    assert f.macro_f1 > 0.7
    assert f.macro_f1_interval.low > 0.6


def test_the_test_loss_is_the_log_loss_of_the_probabilities() -> None:
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(7), 500), rng.integers(0, 7, 500)
    ours, theirs = nll(probabilities, labels), log_loss(labels, probabilities, labels=range(7))
    assert ours == pytest.approx(theirs), f"difference {ours - theirs:.2e}"


def test_a_true_class_of_probability_zero_costs_a_finite_loss() -> None:
    assert nll(np.eye(7)[[1]], np.array([0])) == pytest.approx(27.63, abs=0.01)


def test_a_class_that_is_never_answered_or_never_there_has_figures_of_zero() -> None:
    classes = {c.name: c for c in by_class(np.array([0, 0, 1]), np.array([0, 2, 0]))}
    assert (classes["disgust"].precision, classes["disgust"].recall, classes["disgust"].f1) == (0, 0, 0)
    assert (classes["fear"].recall, classes["fear"].support) == (0, 0)
    assert (classes["angry"].precision, classes["angry"].recall, classes["angry"].support) == (0.5, 0.5, 2)
