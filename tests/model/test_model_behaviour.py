"""What a trained model must do whatever its figures: invariances, and the direction in which a change moves it."""

import numpy as np
import pytest

from components.evaluation.behaviour import CHANGES
from components.labels import CLASSES

pytestmark = pytest.mark.e2e  # a whole training
HAPPY, NEUTRAL = CLASSES.index("happy"), CLASSES.index("neutral")
MOUTH = slice(30, 44)  # rows of a 48-pixel face
LEAST = {"flip": 0.85, "darker": 0.85, "brighter": 0.85, "jpeg": 0.8, "rotated left": 0.75, "rotated right": 0.75}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_should_not_matter_mostly_does_not(change, answers, neutral_faces, smiling_faces) -> None:
    images = np.concatenate([neutral_faces, smiling_faces])
    same = (answers(CHANGES[change](images)).argmax(1) == answers(images).argmax(1)).mean()
    assert same >= LEAST[change], f"{same:.3f} of {len(images)} faces keep their class"


def test_a_drawn_smile_is_happy(answers, neutral_faces, smiling_faces) -> None:
    before, after = answers(neutral_faces), answers(smiling_faces)
    assert (after.argmax(1) == HAPPY).mean() > 0.85
    assert (after[:, HAPPY] > before[:, HAPPY]).mean() > 0.95
    assert (before.argmax(1) == HAPPY).mean() < 0.15


def test_a_covered_mouth_makes_a_smile_less_happy(answers, smiling_faces) -> None:
    covered = smiling_faces.copy()
    covered[:, MOUTH, 8:40] = covered.mean((1, 2), keepdims=True).astype(np.uint8)
    fall = answers(smiling_faces)[:, HAPPY] - answers(covered)[:, HAPPY]
    assert fall.mean() > 0.03, f"happy falls by {fall.mean():.3f}: brows and cheeks still tell of the smile"
    assert (fall > 0).mean() > 0.75, f"happy falls on {(fall > 0).mean():.2f} of {len(fall)} faces"


def test_a_covered_forehead_matters_less_than_a_covered_mouth(answers, smiling_faces) -> None:
    def without(rows: slice) -> float:
        covered = smiling_faces.copy()
        covered[:, rows, 8:40] = covered.mean((1, 2), keepdims=True).astype(np.uint8)
        return float(answers(covered)[:, HAPPY].mean())

    assert without(MOUTH) < without(slice(0, 12))
