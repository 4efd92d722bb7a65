"""Broken datasets are stopped, by the expectation that names what is broken."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from components.dataset import Dataset, open_dataset, write_dataset
from components.errors import ValidationFailed
from components.labels import PUBLIC_TEST, TRAINING
from components.validation import ValidationPolicy, ValidationReport, require_passed, validate
from components.validation.probe import label_signal


def blocked_by(report: ValidationReport) -> set[str]:
    return {finding.expectation for finding in report.failed("blocking")}


def test_labels_shifted_by_a_row_are_seen_by_the_probe_where_no_image_repeats(write, clean, policy, tmp_path) -> None:
    right = validate(write(tmp_path / "right", clean), policy, tmp_path / "a")
    assert right.passed, right.failed("blocking")
    wrong = replace(clean, labels=np.roll(clean.labels, 1))
    shifted = validate(write(tmp_path / "wrong", wrong), policy, tmp_path / "b")
    assert blocked_by(shifted) == {"label_signal"}, shifted.label_signal


def test_the_probe_reads_a_bounded_part_of_many_images(faulty_dataset: Dataset) -> None:
    """400,000 small ones, of which half are 230 MB as features: a shift is seen all the same."""
    n, rng = 400_000, np.random.default_rng(0)
    labels = rng.integers(0, 7, n)
    images = rng.integers(0, 60, (n, 12, 12), np.uint8)
    images[np.arange(n), labels] += 100  # a bright row tells the class
    splits = np.where(np.arange(n) % 4 == 3, PUBLIC_TEST, TRAINING)
    signals = []
    for said in (labels, np.roll(labels, 1)):
        manifest = pd.DataFrame({"split": splits, "label": said, "near_group": np.arange(n, dtype=np.int32)})
        dataset = Dataset(faulty_dataset.root, faulty_dataset.info, images, manifest)
        tracemalloc.start()
        signals.append(label_signal(dataset, (TRAINING, PUBLIC_TEST), 4000, 500))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 200e6, peak
    right, shifted = signals
    assert all(signal is not None and signal > 100 for signal in right.values()), right
    assert all(signal is not None and signal < 4 for signal in shifted.values()), shifted


def test_labels_shifted_by_a_row_are_seen_in_copies_that_disagree(write, clean, policy, tmp_path) -> None:
    rows = np.concatenate([np.arange(700), np.arange(50)[::-1]])
    twice = replace(clean, images=clean.images[rows], labels=np.roll(clean.labels[rows], 1), splits=clean.splits[rows])
    report = validate(write(tmp_path / "dataset", twice), policy, tmp_path / "out")
    assert "conflicting" in blocked_by(report)
    assert report.conflicting_groups > 30


def test_a_dataset_too_small_to_see_a_shift_says_so(write, clean, tmp_path) -> None:
    report = validate(write(tmp_path / "dataset", clean), ValidationPolicy(), tmp_path / "out")
    assert report.passed
    assert set(report.label_signal.values()) == {None}
    said = next(f for f in report.failed("warning") if f.expectation == "shifted_labels_visible")
    assert "too small for labels shifted by a row to be seen" in said.detail


def test_a_lost_split_is_named(write, clean, policy, tmp_path) -> None:
    kept = clean.splits != PUBLIC_TEST
    rest = replace(clean, images=clean.images[kept], labels=clean.labels[kept], splits=clean.splits[kept])
    report = validate(write(tmp_path / "dataset", rest), policy, tmp_path / "out")
    lost = next(f for f in report.failed("blocking") if f.expectation == "required_splits")
    assert lost.offending_ids == (PUBLIC_TEST,)
    with pytest.raises(ValidationFailed, match="required_splits: 1 of 3 required splits are lost; PublicTest"):
        require_passed(report)


def test_half_the_images_black_is_stopped_with_ids(write, clean, policy, tmp_path) -> None:
    images = clean.images.copy()
    images[::2] = 0
    report = validate(write(tmp_path / "dataset", replace(clean, images=images)), policy, tmp_path / "out")
    with pytest.raises(ValidationFailed) as stopped:
        require_passed(report)
    found = next(f for f in report.failed("blocking") if f.expectation == "constant")
    assert found.offending_count == 350
    assert found.offending_ids[0] in str(stopped.value)
    assert "constant: 350 of 700 images are of a single gray level" in str(stopped.value)
    assert "and 340 more" in str(stopped.value)


def test_pixels_that_are_not_the_manifest_s_are_stopped(write, clean, policy, tmp_path) -> None:
    dataset = write(tmp_path / "dataset", clean)
    np.save(tmp_path / "dataset" / "images.npy", np.roll(dataset.images, 1, axis=0))
    report = validate(open_dataset(tmp_path / "dataset"), policy, tmp_path / "out")
    found = next(f for f in report.failed("blocking") if f.expectation == "pixels_differ")
    assert found.offending_count == 700


def test_bad_cells_are_stopped_each_by_its_name(write, clean, policy, tmp_path) -> None:
    dataset = write(tmp_path / "dataset", clean)
    dataset.manifest.loc[:2, "label"] = 9
    dataset.manifest.loc[3, "split"] = "Extra"
    dataset.manifest.loc[4:6, "id"] = "same"
    report = validate(dataset, policy, tmp_path / "out")
    counts = {finding.expectation: finding.offending_count for finding in report.failed("blocking")}
    assert counts == {"known_label": 3, "known_split": 1, "unique_id": 3, "fingerprint_differs": 1}


def test_a_label_column_moved_within_a_finished_version_is_stopped(write, clean, policy, tmp_path) -> None:
    dataset = write(tmp_path / "dataset", clean)
    moved = dataset.manifest.assign(label=np.roll(dataset.manifest["label"], 1))
    write_dataset(tmp_path / "moved", np.asarray(dataset.images), moved, dataset.info.origin)
    report = validate(open_dataset(tmp_path / "moved"), policy, tmp_path / "out")
    assert blocked_by(report) == {"out_of_order"}
    with pytest.raises(ValidationFailed, match=r"out_of_order: .* a column was moved against the others"):
        require_passed(report)


def test_an_empty_cell_is_stopped(write, clean, policy, tmp_path) -> None:
    dataset = write(tmp_path / "dataset", clean)
    dataset.manifest.loc[:2, "source"] = None
    assert blocked_by(validate(dataset, policy, tmp_path / "out")) == {"source_filled"}


def test_a_manifest_without_a_column_is_asked_nothing_else(write, clean, policy, tmp_path) -> None:
    dataset = write(tmp_path / "dataset", clean)
    narrow = replace(dataset, manifest=dataset.manifest.drop(columns=["contrast", "phash"]))
    report = validate(narrow, policy, tmp_path / "out")
    found = next(f for f in report.failed("blocking") if f.expectation == "columns")
    assert set(found.offending_ids) == {"contrast", "phash"}
    assert report.label_signal == {}


@pytest.mark.parametrize(("name", "factor"), [("happy", 20), ("disgust", 0)])
def test_the_class_mix_is_held_against_the_last_accepted_dataset(write, clean, policy, tmp_path, name, factor) -> None:
    dataset = write(tmp_path / "dataset", clean)
    counts = {split: {**classes, name: classes[name] * factor} for split, classes in dataset.info.counts.items()}
    report = validate(dataset, policy, tmp_path / "out", replace(dataset.info, counts=counts))
    assert blocked_by(report) == {"class_mix"}
    assert report.failed("blocking")[0].observed > 0.25
