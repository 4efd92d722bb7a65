"""What a package says beside its model."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.registry.package import uncertainty_threshold


def answers(confidences: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose answer is class 0 with these confidences, and labels that agree or not."""
    top = np.array(confidences, np.float32)
    rest = np.repeat((1 - top[:, None]) / 6, 6, axis=1)
    return np.concatenate([top[:, None], rest], 1), np.where(right, 0, 1)


def test_the_threshold_parts_mostly_wrong_from_mostly_right_answers() -> None:
    found = uncertainty_threshold(*answers([0.3, 0.35, 0.4, 0.6, 0.8, 0.9], [False, True, False, True, True, True]))
    assert found == pytest.approx(0.4)


def test_a_model_that_is_mostly_right_throughout_is_never_uncertain() -> None:
    assert uncertainty_threshold(*answers([0.3, 0.5, 0.9], [True, True, False])) == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.2, 1), st.booleans()), min_size=1, max_size=60, unique_by=lambda pair: pair[0]))
def test_at_and_below_the_threshold_fewer_than_half_are_right(pairs: list[tuple[float, bool]]) -> None:
    probabilities, labels = answers([c for c, _ in pairs], [r for _, r in pairs])
    confidence, right = probabilities.max(1), labels == 0
    found = uncertainty_threshold(probabilities, labels)
    for level in np.unique(confidence):
        if level == np.float32(found):
            assert right[confidence <= level].mean() < 0.5
        elif level > found:
            assert right[confidence <= level].mean() >= 0.5
