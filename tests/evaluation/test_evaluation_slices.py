"""Slices and twins, from a manifest alone."""

from dataclasses import replace

import numpy as np
import pandas as pd

from components.dataset import Dataset
from components.evaluation.slices import MIN_IMAGES, has_twin, slice_masks


def with_columns(dataset: Dataset, **columns: object) -> Dataset:
    return replace(dataset, manifest=dataset.manifest.assign(**columns))


def groups(dataset: Dataset, shared: int) -> pd.Series:
    """Every image a group of its own, but the first `shared` test images in groups of training images."""
    group = np.arange(len(dataset.manifest))
    group[dataset.rows("PublicTest")[:shared]] = dataset.rows("Training")[:shared]
    return pd.Series(group, index=dataset.manifest.index, dtype="int32")


def test_an_image_has_a_twin_where_its_group_reaches_into_training(tiny_dataset: Dataset) -> None:
    dataset = with_columns(tiny_dataset, near_group=groups(tiny_dataset, 5))
    twin = has_twin(dataset, dataset.rows("PublicTest"))
    assert twin.tolist() == [True] * 5 + [False] * (len(twin) - 5)
    assert not has_twin(dataset, dataset.rows("PrivateTest")).any()


def test_copies_within_the_test_images_alone_are_no_twins(tiny_dataset: Dataset) -> None:
    group = groups(tiny_dataset, 0)
    group.loc[tiny_dataset.rows("PublicTest")[:2]] = int(tiny_dataset.rows("PrivateTest")[0])
    dataset = with_columns(tiny_dataset, near_group=group)
    assert not has_twin(dataset, dataset.rows("PublicTest")).any()


def test_thirds_by_light_share_the_images_out(tiny_dataset: Dataset) -> None:
    rows = tiny_dataset.rows("Training")
    masks, light = slice_masks(tiny_dataset, rows), tiny_dataset.manifest["brightness"].to_numpy()[rows]
    thirds = [masks[name] for name in ("dark", "medium light", "bright")]
    assert np.sum(thirds, axis=0).tolist() == [1] * len(rows)
    assert max(part.sum() for part in thirds) - min(part.sum() for part in thirds) <= 2
    assert light[thirds[0]].max() <= light[thirds[1]].min() <= light[thirds[2]].min()


def test_equal_images_are_never_torn_apart(tiny_dataset: Dataset) -> None:
    dataset = with_columns(tiny_dataset, brightness=np.float32(100))
    assert not {"dark", "medium light", "bright"} & set(slice_masks(dataset, dataset.rows("PublicTest")))


def test_slices_too_small_to_say_anything_are_left_out(tiny_dataset: Dataset) -> None:
    rows = tiny_dataset.rows("PublicTest")
    for shared, there in ((MIN_IMAGES - 1, False), (MIN_IMAGES, True)):
        dataset = with_columns(tiny_dataset, near_group=groups(tiny_dataset, shared))
        assert ("with a twin in Training" in slice_masks(dataset, rows)) is there
