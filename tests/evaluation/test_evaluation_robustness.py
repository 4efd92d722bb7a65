"""Corruptions do what they say, losses are paired, gaps are the right ones, and group labels are read strictly."""

import csv
import io
import json
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.dataset import Dataset
from components.errors import DataError
from components.evaluation import corruptions
from components.evaluation.bootstrap import mean_interval
from components.evaluation.corruptions import CORRUPTIONS, GRAY, add_noise, blur, flatten, occlude, turn
from components.evaluation.digest import images_digest
from components.evaluation.figures import robustness_png
from components.evaluation.groups import read_groups
from components.evaluation.robustness import (
    LEAST_OF_A_GROUP,
    Robustness,
    corrupted,
    group_figures,
    recall_gap,
    robustness,
    robustness_table,
    widest,
)
from components.evaluation.scoring import score

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@pytest.fixture
def faces(tiny_dataset: Dataset) -> Images:
    return np.asarray(tiny_dataset.images[:40])


@pytest.fixture(scope="module")
def halves(tiny_dataset: Dataset) -> dict[str, str]:
    """Group labels of all images of PublicTest but two, in two groups."""
    ids = tiny_dataset.manifest.loc[tiny_dataset.rows("PublicTest"), "id"].tolist()
    return {name: ("odd", "even")[i % 2] for i, name in enumerate(ids[:-2])}


@pytest.fixture(scope="module")
def found(learned_model: Path, tiny_dataset: Dataset, halves: dict[str, str]) -> Robustness:
    return robustness(learned_model, tiny_dataset, "learned", halves)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_repeats_grows_with_its_strength_and_leaves_its_input_alone(name: str, faces: Images) -> None:
    corruption, before = CORRUPTIONS[name], faces.copy()
    changed = [corruption.change(faces, strength) for strength in corruption.strengths]
    assert {(c.shape, c.dtype) for c in changed} == {(faces.shape, faces.dtype)}
    away = [float(np.abs(c.astype(int) - faces).mean()) for c in changed]
    assert away == sorted(away), f"mean change by strength: {away}"
    assert away[0] > 0.5
    assert all((corruption.change(faces, s) == c).all() for s, c in zip(corruption.strengths, changed, strict=True))
    assert (faces == before).all()


@pytest.mark.parametrize("name", ["darker", "brighter", "contrast", "blur", "jpeg"])
def test_what_is_not_drawn_at_random_changes_each_image_by_itself(name: str, faces: Images) -> None:
    corruption = CORRUPTIONS[name]
    together = corruption.change(faces, corruption.strengths[2])
    assert (corruption.change(faces[7:8], corruption.strengths[2])[0] == together[7]).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_many_images_are_changed_as_few_are_and_never_all_in_floats(
    name: str, faces: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    corruption, many = CORRUPTIONS[name], np.tile(faces, (10, 1, 1))
    together = corruption.change(many, corruption.strengths[2])
    monkeypatch.setattr(corruptions, "PART", 16)
    tracemalloc.start()
    try:
        in_parts = corruption.change(many, corruption.strengths[2])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (in_parts == together).all()
    assert peak < 3 * many.nbytes, f"{peak / many.nbytes:.1f} times the images"


@given(st.floats(0.02, 0.9), st.integers(16, 64), st.integers(16, 64))
@settings(deadline=None, max_examples=30)
def test_an_occlusion_is_one_whole_rectangle_of_about_that_share(share: float, height: int, width: int) -> None:
    hidden = occlude(np.zeros((20, height, width), np.uint8), share) == GRAY
    rows, columns = hidden.any(2), hidden.any(1)
    assert (hidden == rows[:, :, None] & columns[:, None]).all()
    for sides in (rows, columns):
        starts = np.diff(sides.astype(int), axis=1, prepend=0) == 1
        assert (starts.sum(1) == 1).all(), "in one piece"
    assert hidden.mean() == pytest.approx(share, abs=0.07)


def test_a_stronger_occlusion_lies_about_the_same_place_and_images_differ_in_theirs() -> None:
    black = np.zeros((30, 48, 48), np.uint8)
    weak, strong = (occlude(black, share) == GRAY for share in (0.05, 0.4))
    assert (weak & strong).sum() > 0.8 * weak.sum()
    assert len({mask.tobytes() for mask in weak}) > 20


def test_noise_blur_and_contrast_have_the_size_they_are_named_by() -> None:
    flat = np.full((4, 48, 48), 128, np.uint8)
    assert add_noise(flat, 16).std() == pytest.approx(16, rel=0.05)
    point = np.zeros((1, 49, 49), np.uint8)
    point[0, 24, 24] = 255
    spread = blur(point, 1.0)[0] / 255
    assert spread[24, 24] == pytest.approx(1 / (2 * np.pi), abs=0.01), "the peak of a Gaussian of deviation 1"
    grain = np.random.default_rng(0).integers(60, 180, (4, 48, 48)).astype(np.uint8)
    flattened = flatten(grain, 0.25)
    assert flattened.std() == pytest.approx(0.25 * grain.std(), rel=0.05)
    assert flattened.mean((1, 2)) == pytest.approx(grain.mean((1, 2)), abs=0.5)


def test_neighbours_turn_to_opposite_sides() -> None:
    line = np.zeros((2, 49, 49), np.uint8)
    line[:, 24] = 255
    left, right = turn(line, 10)
    assert left[:, -4].argmax() < 24 < right[:, -4].argmax()


def bright_or_not(images: Images) -> Labels:
    return np.where(images.mean((1, 2)) > 100, 3, 0).astype(np.int64)


def test_a_model_of_brightness_loses_under_darkness_what_becomes_dark_and_nothing_under_rotation() -> None:
    images = np.concatenate([np.full((30, 48, 48), 180, np.uint8), np.full((10, 48, 48), 40, np.uint8)])
    labels = np.repeat([3, 0], [30, 10])
    dark = corrupted("darker", bright_or_not, images, labels, bright_or_not(images))
    assert [s.accuracy for s in dark.strengths] == [1, 0.25, 0.25, 0.25, 0.25]
    assert dark.strengths[1].accuracy_lost == 0.75
    assert dark.strengths[1].accuracy_lost_interval.low < 0.75 < dark.strengths[1].accuracy_lost_interval.high
    assert dark.strengths[0].accuracy_lost_interval.high == dark.strengths[0].macro_f1_lost_interval.high == 0
    assert asdict(dark.recall) == {"best": "angry", "best_share": 1, "worst": "happy", "worst_share": 0, "size": 1}
    turned = corrupted("rotation", bright_or_not, images, labels, bright_or_not(images))
    assert {s.accuracy_lost for s in turned.strengths} == {0}


def test_a_loss_is_measured_on_the_same_images() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(1000) < 0.6
    lost = right.astype(float) - (right & (rng.random(1000) < 0.95))
    paired = mean_interval(lost)
    assert paired.low < lost.mean() < paired.high
    assert paired.high - paired.low == pytest.approx(2 * 1.96 * lost.std() / 1000**0.5, rel=0.1)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40))
@settings(deadline=None)
def test_the_gap_spans_every_class_that_is_there(pairs: list[tuple[int, int]]) -> None:
    labels, answers = np.array(pairs, dtype=np.int64).T
    gap = recall_gap(labels, answers)
    recalls = [(answers[labels == c] == c).mean() for c in np.unique(labels)]
    assert (gap.best_share, gap.worst_share) == pytest.approx((max(recalls), min(recalls)))
    assert gap.size == pytest.approx(max(recalls) - min(recalls))


def test_the_clean_figures_are_those_of_the_split(
    found: Robustness, learned_model: Path, tiny_dataset: Dataset
) -> None:
    rows = tiny_dataset.rows("PublicTest")
    answers = score(learned_model, np.asarray(tiny_dataset.images[rows])).probabilities.argmax(1)
    assert found.split == "PublicTest"
    assert found.clean.n == len(rows)
    assert found.clean.accuracy == pytest.approx((answers == tiny_dataset.labels[rows]).mean())
    assert found.test_digest == images_digest(tiny_dataset.manifest.loc[rows])


def test_every_corruption_is_told_in_every_strength_and_the_loss_adds_up(found: Robustness) -> None:
    assert [c.name for c in found.corruptions] == list(CORRUPTIONS)
    for corruption in found.corruptions:
        assert tuple(s.strength for s in corruption.strengths) == CORRUPTIONS[corruption.name].strengths
        for s in corruption.strengths:
            assert s.accuracy + s.accuracy_lost == pytest.approx(found.clean.accuracy)
            assert s.macro_f1 + s.macro_f1_lost == pytest.approx(found.clean.macro_f1)
            assert s.accuracy_lost_interval.low <= s.accuracy_lost <= s.accuracy_lost_interval.high


def test_the_record_is_json_and_repeats(
    found: Robustness, learned_model: Path, tiny_dataset: Dataset, halves: dict[str, str]
) -> None:
    seen: list[tuple[int, int]] = []
    again = robustness(learned_model, tiny_dataset, "learned", halves, lambda done, of: seen.append((done, of)))
    assert again == found
    assert seen == [(done, len(CORRUPTIONS)) for done in range(1, len(CORRUPTIONS) + 1)]
    assert json.loads(found.to_json())["corruptions"][0]["strengths"][4]["strength"] == 0.1


def test_groups_count_their_images_and_the_gap_is_between_the_judged(found: Robustness) -> None:
    assert found.groups
    assert {g.name: g.figures.n for g in found.groups.groups} == {"odd": 34, "even": 34}
    assert found.groups.unlabelled == 2
    assert found.groups.gap
    shares = {g.name: g.figures.accuracy for g in found.groups.groups}
    assert found.groups.gap == widest(shares)


def test_a_group_too_small_is_shown_and_not_judged() -> None:
    named = np.repeat(["many", "more", "few", ""], [LEAST_OF_A_GROUP, 50, LEAST_OF_A_GROUP - 1, 3])
    labels = np.zeros(len(named), dtype=np.int64)
    answers = np.where(named == "few", 1, np.where(named == "more", 0, np.arange(len(named)) % 2))
    found = group_figures(named, labels, np.eye(7, dtype=np.float32)[answers])
    assert [(g.name, g.judged) for g in found.groups] == [("more", True), ("many", True), ("few", False)]
    assert found.gap
    assert found.gap_interval
    assert (found.gap.best, found.gap.worst, found.gap.size) == ("more", "many", 0.5)
    assert found.gap_interval.low < 0.5 < found.gap_interval.high
    alone = group_figures(np.where(named == "many", "", named), labels, np.eye(7, dtype=np.float32)[answers])
    assert (alone.gap, alone.gap_interval) == (None, None)


def test_the_table_has_a_row_a_strength_a_class_gap_and_every_group(found: Robustness) -> None:
    table = robustness_table(found)
    assert table.count("| blur (pixels, deviation) |") == 5 + 1
    assert "| clean |  |" in table
    assert "Groups on clean images; 2 images have no group. Largest gap in accuracy: " in table
    blocks = [block for block in table.split("\n\n") if block.startswith("|")]
    assert [len({line.count("|") for line in block.splitlines()}) for block in blocks] == [1, 1, 1]


def test_the_chart_is_a_png_that_repeats_to_the_byte(found: Robustness) -> None:
    picture = robustness_png(found)
    with Image.open(io.BytesIO(picture)) as image:
        assert image.format == "PNG"
        assert min(image.size) > 500
    assert robustness_png(found) == picture


WriteGroups = Callable[..., Path]


@pytest.fixture
def write_groups(tmp_path: Path) -> WriteGroups:
    """Writes rows as groups.csv below a head."""

    def write(*rows: Sequence[str], head: Sequence[str] = ("id", "group")) -> Path:
        path = tmp_path / "groups.csv"
        with path.open("w", newline="") as stream:
            csv.writer(stream).writerows([head, *rows])
        return path

    return write


def test_group_labels_are_read_by_column_name(write_groups: WriteGroups, tiny_dataset: Dataset) -> None:
    first, second = tiny_dataset.manifest["id"].iloc[:2]
    path = write_groups(("old, man", "x", first), (" young ", "y", second), head=("group", "note", "id"))
    assert read_groups(path, tiny_dataset) == {first: "old, man", second: "young"}


@pytest.mark.parametrize(
    ("rows", "head", "words"),
    [
        ([], ("id", "group"), "has a header but no rows"),
        ([("{id}", "a")], ("image", "group"), r"line 1: there is no column 'id' \(columns: image, group\)"),
        ([("{id}", "a")], ("id", "age"), r"line 1: there is no column 'group'"),
        ([("{id}", "a"), ("{id}", "b")], ("id", "group"), r"line 3, column 'id': '\w+' was given before, as group 'a'"),
        ([("{id}", " ")], ("id", "group"), r"line 2: column 'group' is empty"),
        ([("{id}",)], ("id", "group"), r"line 2: column 'group' is empty"),
        ([("", "a")], ("id", "group"), r"line 2: column 'id' is empty"),
        ([("{id}", "a"), ("nobody", "a")], ("id", "group"), r"line 3, column 'id': the dataset has no image 'nobody'"),
    ],
)
def test_bad_group_labels_say_where(rows, head, words: str, write_groups: WriteGroups, tiny_dataset: Dataset) -> None:
    known = tiny_dataset.manifest["id"].iloc[0]
    path = write_groups(*([cell.format(id=known) for cell in row] for row in rows), head=head)
    with pytest.raises(DataError, match=words):
        read_groups(path, tiny_dataset)


def test_what_is_no_csv_says_so(tmp_path: Path, tiny_dataset: Dataset) -> None:
    picture = tmp_path / "groups.csv"
    for path in (tmp_path / "missing.csv", picture):
        picture.write_bytes(b"\x89PNG\xff\xfe")
        with pytest.raises(DataError, match=f"{path.name} cannot be read as a CSV"):
            read_groups(path, tiny_dataset)


def test_labels_of_other_splits_alone_are_refused_before_anything_is_scored(tiny_dataset: Dataset) -> None:
    elsewhere = tiny_dataset.manifest.loc[tiny_dataset.rows("Training")[0], "id"]
    with pytest.raises(DataError, match="none of the 1 group labels names an image of PublicTest"):
        robustness(Path("no-model.onnx"), tiny_dataset, "none", {elsewhere: "a"})
