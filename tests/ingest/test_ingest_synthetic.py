"""Drawn faces: the same bytes by seed, FER-2013's imbalance, measurable shifts, emotions that can be told apart."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from components.errors import DataError
from components.ingest import synthetic
from components.ingest.expressions import UNITS, Actions, draw_actions
from components.ingest.heads import draw_heads
from components.ingest.photo import draw_scenes, photograph
from components.ingest.synthetic import SyntheticOptions, apportion, generate, mistake, parse_options, plan
from components.labels import CLASSES, SPLITS, TRAINING

FEW = SyntheticOptions(images=300, seed=5)
STRENGTHS = (0.0, 0.35, 0.7, 1.0)
Images = npt.NDArray[np.uint8]


def brightness(images: Images) -> float:
    return float(images.mean())


def sharpness(images: Images) -> float:
    """Mean over images of the variance of the 4-neighbour Laplacian."""
    x = images.astype(np.float32)
    laplacian = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:] - 4 * x[:, 1:-1, 1:-1]
    return float(laplacian.var(axis=(1, 2)).mean())


@pytest.fixture(scope="module")
def faces() -> tuple[Images, npt.NDArray[np.int64], npt.NDArray[np.str_]]:
    """3,000 faces without shift."""
    return generate(SyntheticOptions(images=3000, seed=11))


def test_images_labels_and_splits_have_the_promised_shapes_and_types(faces) -> None:
    images, labels, splits = faces
    assert images.shape == (3000, 48, 48)
    assert (images.dtype, labels.dtype, splits.dtype.kind) == (np.uint8, np.int64, "U")
    assert labels.shape == splits.shape == (3000,)
    assert set(splits) == set(SPLITS)


def test_pixels_use_the_range_and_few_are_clipped(faces) -> None:
    images, _, _ = faces
    assert images.min() == 0
    assert images.max() == 255
    assert np.mean((images == 0) | (images == 255)) < 0.1
    assert 95 < brightness(images) < 160  # FER-2013: 129
    assert images.std(axis=(1, 2)).min() > 8


def test_no_two_images_are_identical(faces) -> None:
    images, _, _ = faces
    assert len({image.tobytes() for image in images}) == len(images)


def test_the_same_options_give_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = (generate(options) for options in (FEW, FEW, replace(FEW, seed=6)))
    assert first[0].tobytes() == again[0].tobytes()
    assert (first[1] == again[1]).all()
    assert (first[0] != other[0]).any(axis=(1, 2)).all()


@pytest.mark.parametrize("batch", [1, 7, 300])
def test_images_do_not_depend_on_how_many_are_drawn_at_once(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = generate(FEW)[0]
    monkeypatch.setattr(synthetic, "BATCH", batch)
    assert generate(FEW)[0].tobytes() == expected.tobytes()


def test_counts_follow_fer2013_and_every_class_stands_in_every_split() -> None:
    labels, splits = plan(SyntheticOptions(images=35887))
    assert [int((splits == split).sum()) for split in SPLITS] == [28709, 3589, 3589]
    training = np.bincount(labels[splits == TRAINING])
    assert training.tolist() == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    labels, splits = plan(SyntheticOptions())
    for split in SPLITS:
        counts = np.bincount(labels[splits == split], minlength=len(CLASSES))
        assert counts.min() >= synthetic.LEAST_OF_A_CLASS
        assert counts.argmax() == CLASSES.index("happy")


@given(st.integers(0, 5000), st.lists(st.integers(1, 9000), min_size=1, max_size=9), st.integers(0, 9))
def test_apportioned_numbers_sum_to_the_total_and_keep_the_least(total: int, shares: list[int], least: int) -> None:
    counts = apportion(total, np.array(shares, dtype=np.float64), least)
    assert counts.sum() == total
    assert counts.min() >= min(least, total // len(shares))
    if not least:
        assert np.abs(counts - total * np.array(shares) / sum(shares)).max() < 1 + 1e-6


def test_label_noise_changes_what_that_share_of_training_shows_and_nothing_in_the_tests() -> None:
    labels, splits = plan(SyntheticOptions())
    shown = mistake(labels, splits == TRAINING, 0.05, np.random.default_rng(0))
    assert (shown != labels).sum() == round(0.05 * (splits == TRAINING).sum())
    assert (shown == labels)[splits != TRAINING].all()
    assert set(shown) == set(range(len(CLASSES)))


@pytest.mark.parametrize(
    ("shift", "statistic"),
    [("darker", brightness), ("blurrier", sharpness)],
    ids=["darker lowers the mean", "blurrier lowers the Laplacian variance"],
)
def test_a_shift_of_light_or_focus_moves_its_statistic_step_by_step(shift: str, statistic) -> None:
    figures = [statistic(generate(replace(FEW, **{shift: strength}))[0]) for strength in STRENGTHS]
    assert all(later < earlier * 0.97 for earlier, later in pairwise(figures)), figures
    assert figures[-1] < 0.6 * figures[0]


def test_more_occlusion_hides_more_faces_and_leaves_the_others_alone() -> None:
    plain = generate(FEW)[0]
    changed = [(generate(replace(FEW, occluded=s))[0] != plain).any(axis=(1, 2)).mean() for s in STRENGTHS]
    assert all(later > earlier + 0.15 for earlier, later in pairwise(changed)), changed
    assert changed[-1] > 0.75


def test_another_class_mix_moves_the_shares_step_by_step_and_keeps_the_total() -> None:
    shares = [np.bincount(plan(replace(FEW, images=3500, class_mix=s))[0]) / 3500 for s in STRENGTHS]
    moved = [float(np.abs(share - shares[0]).sum()) / 2 for share in shares]
    assert all(later > earlier + 0.08 for earlier, later in pairwise(moved)), moved
    assert shares[-1].argmax() == CLASSES.index("disgust")


@pytest.mark.parametrize("shift", ["darker", "blurrier", "occluded"])
def test_a_shift_of_the_photograph_keeps_labels_and_splits(shift: str) -> None:
    _, labels, splits = generate(FEW)
    _, shifted_labels, shifted_splits = generate(replace(FEW, **{shift: 0.5}))
    assert (labels == shifted_labels).all()
    assert (splits == shifted_splits).all()


def test_nothing_is_drawn_in_double_precision() -> None:
    rng = np.random.default_rng(0)
    records = [draw_heads(9, rng), draw_scenes(9, rng, 0.5, 0.5, 0.5), draw_actions(np.arange(9) % 7, rng)]
    for record in records:
        assert {getattr(record, f.name).dtype for f in fields(record)} == {np.dtype(np.float32)}


UPPER = ("inner_brow", "outer_brow", "brow_lower", "lid_raise", "lid_tight")
LOWER = ("corner_up", "corner_down", "chin", "stretch", "press", "part", "drop", "lip_raise")


@pytest.mark.parametrize(("unit", "above"), [(u, True) for u in UPPER] + [(u, False) for u in LOWER])
def test_an_action_unit_alone_changes_its_part_of_the_face(unit: str, above: bool) -> None:
    rng = np.random.default_rng(1)
    heads, scenes = draw_heads(40, rng), draw_scenes(40, rng, 0.0, 0.0, 0.0)
    rest = Actions(*(np.zeros((40, 1), dtype=np.float32) for _ in UNITS))
    moved = replace(rest, **{unit: np.ones((40, 1), dtype=np.float32)})
    still, acting = (photograph(heads, a, scenes, np.random.default_rng(2)).astype(int) for a in (rest, moved))
    change = np.abs(acting - still).sum(axis=2)  # [40, rows]
    top, bottom = change[:, :24].sum(axis=1), change[:, 24:].sum(axis=1)
    assert (change.sum(axis=1) > 0).all()
    assert ((top > bottom) if above else (bottom > top)).mean() > 0.9


def test_a_linear_classifier_tells_the_emotions_apart_far_better_than_chance(faces) -> None:
    images, labels, splits = faces
    x = images.reshape(len(images), 24, 2, 24, 2).mean(axis=(2, 4)).reshape(len(images), -1)
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    train = splits == TRAINING
    reduced = PCA(80, random_state=0).fit(x[train]).transform(x)
    accuracy = LinearDiscriminantAnalysis().fit(reduced[train], labels[train]).score(reduced[~train], labels[~train])
    assert accuracy > 0.45, f"{accuracy:.3f}; always guessing happy gives 0.25"


def test_options_are_read_from_a_sources_name() -> None:
    assert parse_options("synthetic") == SyntheticOptions()
    assert parse_options("synthetic:") == SyntheticOptions()
    given_ = parse_options("synthetic: images=5000, seed=1, darker=0.5")
    assert given_ == SyntheticOptions(images=5000, seed=1, darker=0.5)


@given(
    st.builds(
        SyntheticOptions,
        images=st.integers(100, 10**6),
        seed=st.integers(0, 2**32),
        **{f.name: st.floats(0, 1) for f in fields(SyntheticOptions) if isinstance(f.default, float)},
    )
)
def test_any_options_written_out_are_read_back(options: SyntheticOptions) -> None:
    text = ",".join(f"{f.name}={getattr(options, f.name)!r}" for f in fields(options))
    assert parse_options(f"synthetic:{text}") == options


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("synthetic:image=5000", "allowed are images=, seed=, label_noise="),
        ("synthetic:images", "'images' is no option"),
        ("synthetic:images=many", "images=many is not a whole number"),
        ("synthetic:images=1e4", "images=1e4 is not a whole number"),
        ("synthetic:darker=dark", "darker=dark is not a number"),
        ("synthetic:images=20", "images is 20; at least 100"),
        ("synthetic:seed=-1", "seed is -1; it must be 0 or more"),
        ("synthetic:darker=1.5", "darker is 1.5; it must lie between 0 and 1"),
        ("synthetic:blurrier=nan", "blurrier is nan; it must lie between 0 and 1"),
        ("synthetic:seed=1,seed=2", "seed is given twice"),
        ("faces:seed=1", "is no synthetic source"),
    ],
)
def test_wrong_options_are_told_with_what_is_allowed(text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        parse_options(text)


def test_progress_ends_with_the_last_image() -> None:
    seen: list[tuple[str, int, int]] = []
    generate(FEW, lambda *step: seen.append(step))
    assert seen[-1] == ("draw", 300, 300)
    assert [done for _, done, _ in seen] == sorted({done for _, done, _ in seen})
