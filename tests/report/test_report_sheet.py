"""The contact sheet: every face in its place, captions underneath."""

import numpy as np
import pytest

from components.report.sheet import CAPTION_HEIGHT, GAP, contact_sheet

FACES = np.arange(5, dtype=np.uint8)[:, None, None] * 40 + np.zeros((5, 8, 8), dtype=np.uint8)


def test_faces_stand_in_rows_and_in_order() -> None:
    sheet = np.asarray(contact_sheet(FACES, None, columns=3, scale=2))
    step = 16 + GAP
    assert sheet.shape == (2 * step + GAP, 3 * step + GAP)
    middles = [sheet[GAP + 8 + k // 3 * step, GAP + 8 + k % 3 * step] for k in range(5)]
    assert middles == [0, 40, 80, 120, 160]


def test_at_scale_one_pixels_are_kept() -> None:
    face = np.random.default_rng(0).integers(0, 256, (1, 48, 48), dtype=np.uint8)
    sheet = np.asarray(contact_sheet(face, columns=1, scale=1))
    assert (sheet[GAP : GAP + 48, GAP : GAP + 48] == face[0]).all()


def test_captions_make_room_for_themselves_and_leave_ink() -> None:
    bare, told = (contact_sheet(FACES, captions, columns=5, scale=6) for captions in (None, list("abcde")))
    assert told.height == bare.height + CAPTION_HEIGHT
    assert np.asarray(told)[-CAPTION_HEIGHT:].min() < 128


def test_no_faces_give_an_empty_sheet() -> None:
    assert contact_sheet(np.empty((0, 48, 48), dtype=np.uint8), [], columns=4, scale=2).width > 4 * 96


def test_captions_must_match_the_faces() -> None:
    with pytest.raises(ValueError, match="5 images and 2 captions"):
        contact_sheet(FACES, ["a", "b"])
