"""Copies of a face: identical ones by pixels, moved and relit ones by looking, and other faces told apart."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset import open_dataset
from components.ingest import IngestOptions, duplicates, ingest
from components.ingest.duplicates import (
    MIN_CORRELATION,
    REACH,
    duplicate_groups,
    moved_correlations,
    near_pairs,
    perceptual_hashes,
    pixel_hashes,
)
from components.ingest.hamming import MAX_BITS
from components.ingest.records import tell_nobody


def groups(images):
    return duplicate_groups(images, pixel_hashes(images), perceptual_hashes(images, tell_nobody), tell_nobody)


def moved(images, down: int, right: int):
    """Pixels that come in at an edge repeat it."""
    around = np.pad(images, ((0, 0), (8, 8), (8, 8)), mode="edge")
    return around[:, 8 - down : 56 - down, 8 - right : 56 - right]


def relit(images, gain: float, offset: float):
    return np.clip(images * gain + offset, 0, 255).astype(np.uint8)


def paired(count: int):
    """Pairs (i, count + i)."""
    return np.stack([np.arange(count), np.arange(count) + count], axis=1)


def test_exact_groups_are_the_images_with_the_same_pixels(few) -> None:
    rows = np.array([4, 0, 4, 1, 0, 4, 8])
    exact, _ = groups(few.images[rows])
    assert exact.tolist() == [0, 1, 0, 2, 1, 0, 3]
    assert exact.dtype == np.int32


def test_one_gray_level_of_one_pixel_makes_another_image_of_the_same_near_group(few) -> None:
    images = np.concatenate([few.images, few.images])
    images[len(few.images) :, 20, 20] ^= 1
    exact, near = groups(images)
    assert len(set(exact)) == len(images)
    assert near.tolist() == [*range(len(few.images))] * 2


def test_pixel_hashes_are_the_sha256_of_the_raw_pixels_whatever_their_layout(few) -> None:
    expected = [hashlib.sha256(image.tobytes()).hexdigest() for image in few.images]
    assert pixel_hashes(few.images).tolist() == expected
    assert pixel_hashes(np.asfortranarray(few.images)).tolist() == expected


CHANGES = {
    "darker": lambda x: relit(x, 0.8, 0),
    "flatter": lambda x: relit(x, 0.7, 30),
    "harder": lambda x: relit(x, 1.2, -20),
    "noisy": lambda x: relit(x + np.random.default_rng(0).normal(0, 5, x.shape), 1, 0),
    "a pixel to the right": lambda x: moved(x, 0, 1),
    "a pixel down": lambda x: moved(x, 1, 0),
    "a pixel up, and darker": lambda x: relit(moved(x, -1, 0), 0.8, 0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_moved_or_relit_copy_is_found(change, drawn) -> None:
    faces = drawn.images[:60]
    exact, near = groups(np.concatenate([faces, change(faces)]))
    found = (near[:60] == near[60:]).mean()
    assert found >= 0.9, f"{found:.0%} found"
    assert len(set(exact)) == 120
    assert len(set(near[:60])) == 60  # and no two faces were joined by it


def test_different_faces_are_not_joined(drawn) -> None:
    _, near = groups(drawn.images)
    assert near.tolist() == [*range(140)]


@pytest.mark.parametrize("down", [-REACH, 0, 2])
@pytest.mark.parametrize("right", [-1, 0, REACH])
def test_looking_confirms_any_move_within_reach_and_no_pair_of_others(down, right, drawn) -> None:
    faces = drawn.images[:70]
    both = np.concatenate([faces, relit(moved(faces, down, right), 0.7, 20)])
    assert moved_correlations(both, paired(70), REACH).min() > 0.99
    assert moved_correlations(drawn.images, paired(70), REACH).max() < MIN_CORRELATION


def test_a_move_out_of_reach_correlates_less_than_one_within(drawn) -> None:
    within, beyond = (np.concatenate([drawn.images, moved(drawn.images, 0, n)]) for n in (REACH, REACH + 4))
    near, far = (moved_correlations(images, paired(140), REACH) for images in (within, beyond))
    assert (far < near).all()
    assert np.median(far) < MIN_CORRELATION < near.min()


def test_correlation_is_that_of_numpy_at_no_move(drawn) -> None:
    pairs = paired(70)
    expected = [np.corrcoef(drawn.images[i].ravel(), drawn.images[j].ravel())[0, 1] for i, j in pairs]
    difference = np.abs(moved_correlations(drawn.images, pairs, 0) - np.maximum(expected, 0)).max()
    assert difference < 1e-4, difference


def test_constant_images_are_like_nothing_but_themselves(drawn) -> None:
    flat = np.repeat(np.array([0, 7, 255, 7], np.uint8), 48 * 48).reshape(4, 48, 48)
    exact, near = groups(np.concatenate([flat, drawn.images[:3]]))
    assert exact.tolist() == near.tolist() == [0, 1, 2, 1, 3, 4, 5]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 7), st.sampled_from([0, 1]), st.sampled_from([1.0, 0.8])), min_size=1, max_size=30
    )
)
def test_near_groups_hold_exact_groups_whole(rows, drawn) -> None:
    images = np.stack([relit(moved(drawn.images[i][None], 0, right), gain, 0)[0] for i, right, gain in rows])
    exact, near = groups(images)
    assert exact.max() + 1 == len({image.tobytes() for image in images})
    for group in set(exact.tolist()):
        assert len(set(near[exact == group])) == 1
    for numbers in (exact, near):  # numbered by first appearance
        assert list(dict.fromkeys(numbers.tolist())) == [*range(numbers.max() + 1)]


def test_confirmed_pairs_are_both_close_by_hash_and_alike(drawn) -> None:
    images = np.concatenate([drawn.images, moved(drawn.images, 1, 1)])
    phash = perceptual_hashes(images, tell_nobody)
    pairs = near_pairs(images, np.arange(len(images)), phash, tell_nobody)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert np.bitwise_count(phash[pairs[:, 0]] ^ phash[pairs[:, 1]]).max() <= MAX_BITS
    assert moved_correlations(images, pairs, REACH).min() >= MIN_CORRELATION


def test_a_crowd_of_near_duplicates_is_not_compared_each_with_each(drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the frames of a film: once they are joined, no more of their pairs are looked at."""
    rng = np.random.default_rng(0)
    frames = drawn.images[:1].astype(np.int16) + rng.integers(-1, 2, (60, *drawn.images.shape[1:]))
    images = np.concatenate([drawn.images[1:20], frames.clip(0, 255).astype(np.uint8)])
    whole = groups(images)[1]
    looked: list[int] = []

    def counted(faces, pairs, *rest, **more):
        looked.append(len(pairs))
        return moved_correlations(faces, pairs, *rest, **more)

    monkeypatch.setattr(duplicates, "moved_correlations", counted)
    monkeypatch.setattr(duplicates, "PIECE", 50)
    assert groups(images)[1].tolist() == whole.tolist()
    assert len(set(whole[-60:].tolist())) == 1
    assert sum(looked) < 0.3 * 60 * 59, "each pair is looked at twice, roughly and closely"


def test_a_dataset_version_carries_the_groups(drawn, tmp_path) -> None:
    copies = np.concatenate([drawn.images, drawn.images[:5], moved(drawn.images[5:8], 0, 1)])
    again = np.concatenate([np.arange(140), np.arange(8)])
    faces = type(drawn)(copies, drawn.labels[again], drawn.splits[again])
    manifest = open_dataset(ingest(faces.folder(tmp_path / "faces"), tmp_path, IngestOptions()).folder).manifest
    assert (manifest["exact_group"].nunique(), manifest["near_group"].nunique()) == (143, 140)
    assert (manifest.groupby("exact_group")["sha256"].nunique() == 1).all()
    assert (manifest.groupby("exact_group")["near_group"].nunique() == 1).all()
