"""Held-out images are chosen by content: identical ones stay together, order and container change nothing."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset import open_dataset
from components.errors import DataError
from components.ingest import IngestOptions, ingest
from components.ingest.names import TEST, UNSPLIT
from components.ingest.records import Faces
from components.ingest.splits import assign_splits
from components.labels import PRIVATE_TEST, PUBLIC_TEST, SPLITS, TEST_SPLITS, TRAINING


def faces(labels, splits) -> Faces:
    """Without pixels to speak of: splits go by hash and label alone."""
    n = len(labels)
    return Faces(np.zeros((n, 1, 1), np.uint8), np.array(labels), np.array(splits, np.str_), [str(i) for i in range(n)])


def named(numbers) -> np.ndarray:
    """A hash for each image's number; equal numbers are identical images."""
    return np.array([hashlib.sha256(str(number).encode()).hexdigest() for number in numbers])


def assigned(labels, splits, numbers, held_out=None) -> np.ndarray:
    return assign_splits(faces(labels, splits), named(numbers), held_out, "faces").splits


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), kinds=st.integers(1, 300), count=st.integers(0, 300), share=st.floats(0.2, 0.8))
@pytest.mark.parametrize("known", [UNSPLIT, TRAINING, TEST])
def test_identical_images_stay_together_and_order_changes_nothing(known, seed, kinds, count, share) -> None:
    rng = np.random.default_rng(seed)
    numbers = np.concatenate([np.arange(140), rng.integers(0, kinds, count)])  # copies, some with another label
    labels = np.concatenate([np.arange(140) % 7, rng.integers(0, 7, count)])
    told = np.full(len(numbers), known, "<U16")
    if known == TEST:  # to be halved, beside a Training of other images
        told[numbers % 3 == 0] = TRAINING
    splits = assigned(labels, told, numbers, share)
    assert all(len(set(splits[numbers == number])) == 1 for number in np.unique(numbers))
    order = rng.permutation(len(numbers))
    assert (assigned(labels[order], told[order], numbers[order], share) == splits[order]).all()


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("known", [UNSPLIT, TRAINING])
def test_each_class_gives_its_share_half_to_each_test(known, share) -> None:
    labels = np.repeat(np.arange(7), [400, 40, 410, 720, 480, 317, 496])
    splits = assigned(labels, np.full(len(labels), known), range(len(labels)), share)
    for label in range(7):
        mine = splits[labels == label]
        public, private = (int((mine == split).sum()) for split in TEST_SPLITS)
        assert public + private == round(len(mine) * share)
        assert abs(public - private) <= 1


def test_a_larger_share_holds_out_the_same_images_and_more() -> None:
    labels = np.arange(700) % 7
    held = [assigned(labels, np.full(700, UNSPLIT), range(700), share) != TRAINING for share in (0.1, 0.2, 0.4)]
    assert [int(rows.sum()) for rows in held] == [70, 140, 280]
    assert (held[0] <= held[1]).all()
    assert (held[1] <= held[2]).all()


def test_images_added_later_move_few_of_the_others() -> None:
    """Who is held out goes by the image, not by a draw over all of them."""
    labels = np.arange(1400) % 7
    before = assigned(labels[:1260], np.full(1260, UNSPLIT), range(1260))
    after = assigned(labels, np.full(1400, UNSPLIT), range(1400))[:1260]
    assert (before != after).mean() < 0.05


@pytest.mark.parametrize(
    ("beside", "becomes"), [(PUBLIC_TEST, PRIVATE_TEST), (PRIVATE_TEST, PUBLIC_TEST)], ids=["public", "private"]
)
def test_test_beside_one_of_the_test_splits_is_the_other(beside, becomes) -> None:
    splits = assigned([0, 1, 2], [TRAINING, beside, TEST], range(3))
    assert splits.tolist() == [TRAINING, beside, becomes]


def test_splits_a_source_names_are_kept_whatever_share_is_asked_for() -> None:
    splits = np.array(SPLITS * 40)
    assert (assigned(np.arange(120) % 7, splits, range(120), 0.5) == splits).all()


@pytest.mark.parametrize("share", [None, 0.2])
def test_training_alone_is_held_out_from_only_when_a_share_is_named(share) -> None:
    labels, splits = np.arange(140) % 7, np.full(140, TRAINING)
    if share:
        assert set(assigned(labels, splits, range(140), share)) == set(SPLITS)
    else:
        with pytest.raises(DataError, match=r"Name a share to hold out with --held-out 0\.2"):
            assigned(labels, splits, range(140))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_share_outside_0_to_1_is_told(share) -> None:
    with pytest.raises(DataError, match=r"held-out share is .*; it must lie between 0 and 1"):
        IngestOptions(held_out=share)


@pytest.mark.parametrize("size", [0, 15, 1025])
def test_a_size_no_face_can_have_is_told(size) -> None:
    with pytest.raises(DataError, match=f"image size is {size}; it must lie between 16 and 1024"):
        IngestOptions(size=size)


def test_copies_in_a_table_and_a_folder_are_held_out_together(drawn, write, tmp_path) -> None:
    twice = drawn.take(np.tile(np.arange(140), 2))
    shuffled = twice.take(np.random.default_rng(0).permutation(280))
    table = write(tmp_path / "train.csv", [row[:2] for row in shuffled.rows()], ("emotion", "pixels"))
    folder = type(drawn)(twice.images, twice.labels, np.full(280, ".")).folder(tmp_path / "faces")
    ingested = [ingest(source, tmp_path, IngestOptions(held_out=0.3)) for source in (table, folder)]
    assert ingested[0].info.fingerprint == ingested[1].info.fingerprint
    manifest = open_dataset(ingested[0].folder).manifest
    assert (manifest.groupby("sha256")["split"].nunique() == 1).all()
    assert manifest["id"].is_unique
    assert manifest["id"].str.endswith("-1").sum() == 140
