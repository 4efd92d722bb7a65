"""Faces in a real photograph, which matplotlib's package carries, and in pictures that hold none."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest

from components.errors import NoFace
from components.ingest.synthetic import SyntheticOptions, generate
from serving.faces import cut_faces
from serving.pictures import read_picture

SIZE = (48, 48)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """Grace Hopper in uniform before a flag."""
    file = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return read_picture(file.read_bytes())


def test_the_face_of_a_portrait_is_found_and_cut(portrait: np.ndarray) -> None:
    (face,) = cut_faces(portrait, "largest", SIZE)
    height, width = portrait.shape
    assert face.crop.shape == SIZE
    assert 0.2 * width < face.box.left + face.box.width / 2 < 0.8 * width
    assert face.box.top + face.box.height / 2 < 0.5 * height
    assert 0.15 * width < face.box.width < 0.6 * width


def test_of_several_faces_the_largest_comes_first(portrait: np.ndarray) -> None:
    small = portrait[::2, ::2]
    both = np.full((portrait.shape[0], portrait.shape[1] + small.shape[1]), 128, np.uint8)
    both[:, : portrait.shape[1]] = portrait
    both[: small.shape[0], portrait.shape[1] :] = small
    faces = cut_faces(both, "all", SIZE)
    assert len(faces) == 2
    assert faces[0].box.width > 1.5 * faces[1].box.width
    for mode in ("auto", "largest"):
        assert [face.box for face in cut_faces(both, mode, SIZE)] == [faces[0].box]


def test_a_large_photograph_is_searched_small_and_its_box_is_in_its_own_pixels(portrait: np.ndarray) -> None:
    large = portrait.repeat(4, 0).repeat(4, 1)
    (own,), (found,) = cut_faces(portrait, "largest", SIZE), cut_faces(large, "largest", SIZE)
    assert found.box.left == pytest.approx(4 * own.box.left, abs=0.1 * found.box.width)
    assert found.box.width == pytest.approx(4 * own.box.width, rel=0.15)


def test_what_already_is_a_face_crop_is_not_cropped_again(portrait: np.ndarray) -> None:
    (face,) = cut_faces(portrait, "largest", (224, 224))
    (again,) = cut_faces(face.crop, "auto", SIZE)
    assert (again.box.left, again.box.top, again.box.width, again.box.height) == (0, 0, 224, 224)
    drawn = generate(SyntheticOptions(images=100))[0][0]
    (same,) = cut_faces(drawn, "auto", SIZE)
    assert np.array_equal(same.crop, drawn)


def test_a_margin_reaches_past_the_edge_by_repeating_it(portrait: np.ndarray) -> None:
    (face,) = cut_faces(portrait, "largest", SIZE)
    box = face.box
    close = portrait[box.top : box.top + box.height + 20, box.left : box.left + box.width + 20]
    (near,) = cut_faces(close, "largest", SIZE, margin=0.5)
    box, extra = near.box, round(0.5 * near.box.width)
    assert box.top < extra
    assert box.left < extra
    wide = np.pad(close, extra, mode="edge")  # its pixel (0, 0) is (-extra, -extra) of the picture
    expected = wide[box.top : box.top + box.height + 2 * extra, box.left : box.left + box.width + 2 * extra]
    assert np.array_equal(near.cut, expected)
    assert near.crop.shape == SIZE


@pytest.mark.parametrize("mode", ["auto", "largest", "all"])
def test_a_picture_without_a_face_says_so(mode) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300), dtype=np.uint8)
    with pytest.raises(NoFace, match=r"300 x 200.*face=none"):
        cut_faces(noise, mode, SIZE)
    assert cut_faces(noise, "none", SIZE)[0].crop.shape == SIZE


def test_a_tiny_face_is_no_face(portrait: np.ndarray) -> None:
    (face,) = cut_faces(portrait, "largest", (14, 14))
    picture = np.full((120, 120), 128, np.uint8)
    picture[50:64, 50:64] = face.crop
    with pytest.raises(NoFace, match="at least 24 pixels"):
        cut_faces(picture, "auto", SIZE)
