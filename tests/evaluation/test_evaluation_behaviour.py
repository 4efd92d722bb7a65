"""The changes are what they say they are, and are asked on a fair part of the images."""

import numpy as np
import pytest

from components.dataset import Dataset
from components.evaluation.behaviour import CHANGES, MOST, behaviour, flip, jpeg, relight, spread, tilt


@pytest.fixture
def faces(tiny_dataset: Dataset) -> np.ndarray:
    return np.asarray(tiny_dataset.images[:40])


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_gives_other_pixels_of_the_same_shape_and_leaves_its_input_alone(name: str, faces: np.ndarray) -> None:
    before = faces.copy()
    changed = CHANGES[name](faces)
    assert (changed.shape, changed.dtype) == (faces.shape, np.uint8)
    assert (changed != faces).any(axis=(1, 2)).all()
    assert (faces == before).all()
    assert np.abs(changed.mean() - faces.mean()) < 0.21 * faces.mean()


def test_two_flips_give_back_the_image_and_one_exchanges_the_sides(faces: np.ndarray) -> None:
    assert (flip(flip(faces)) == faces).all()
    assert (flip(faces)[:, :, 0] == faces[:, :, -1]).all()


def test_light_is_a_factor_and_never_wraps_around() -> None:
    image = np.array([[[0, 100, 250]]], dtype=np.uint8)
    assert relight(image, 1.2).tolist() == [[[0, 120, 255]]]
    assert relight(image, 0.8).tolist() == [[[0, 80, 200]]]


def test_a_positive_tilt_turns_counter_clockwise_and_back_again_restores_the_middle(faces: np.ndarray) -> None:
    line = np.zeros((1, 49, 49), dtype=np.uint8)
    line[:, 24] = 255
    turned = tilt(line, 5)[0]
    assert turned[:, -3].argmax() < 24 < turned[:, 2].argmax(), "the right end goes up"
    back = tilt(tilt(faces, 5), -5)[:, 8:-8, 8:-8].astype(int)
    assert np.abs(back - faces[:, 8:-8, 8:-8]).mean() < 6


def test_jpeg_changes_pixels_a_little_and_each_image_by_itself(faces: np.ndarray) -> None:
    packed = jpeg(faces)
    assert 0 < np.abs(packed.astype(int) - faces).mean() < 12
    assert (jpeg(faces[3:4])[0] == packed[3]).all()


@pytest.mark.parametrize("n", [1, 999, 1000, 1001, 3589])
def test_the_part_asked_is_spread_over_all_images(n: int) -> None:
    rows = spread(n)
    assert len(rows) == min(n, MOST)
    assert len(set(rows.tolist())) == len(rows)
    assert rows[0] == 0
    assert n - 1 - rows[-1] <= np.ceil(n / MOST)


def test_images_sorted_by_class_keep_their_class_shares_in_the_part() -> None:
    labels = np.repeat(np.arange(7), [467, 56, 496, 895, 653, 415, 607])
    shares = [np.bincount(x, minlength=7) / len(x) for x in (labels, labels[spread(len(labels))])]
    assert np.abs(shares[0] - shares[1]).max() < 0.001


def test_a_model_that_sees_only_brightness_keeps_its_answer_under_a_flip_alone(faces: np.ndarray) -> None:
    edges = np.linspace(40, 200, 6)

    def classify(images: np.ndarray) -> np.ndarray:
        return np.digitize(images.mean(axis=(1, 2)), edges)

    kept = {b.name: b.kept_share for b in behaviour(classify, faces, classify(faces))}
    assert kept["flip"] == 1
    assert kept["darker"] < 0.9
    assert kept["jpeg"] > 0.8
