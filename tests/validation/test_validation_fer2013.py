"""Real FER-2013, faults and all, passes with its warnings; broken copies of it do not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.dataset import Dataset, open_dataset
from components.errors import ValidationFailed
from components.labels import PUBLIC_TEST, SPLITS
from components.validation import ValidationPolicy, require_passed, validate

pytestmark = pytest.mark.fer2013


@pytest.fixture(scope="module")
def real(fer2013: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The whole of it, ingested."""
    from components.ingest import IngestOptions, ingest

    return open_dataset(ingest(str(fer2013), tmp_path_factory.mktemp("fer2013"), IngestOptions()).folder)


@pytest.fixture(scope="module")
def source(real: Dataset, faces):
    """Its images in the order of a source: splits one after another, mixed within, as in the competition's file."""
    splits = real.manifest["split"].to_numpy(dtype="<U11")
    order = np.random.default_rng(0).permutation(len(splits))
    order = order[np.argsort([SPLITS.index(split) for split in splits[order]], kind="stable")]
    return type(faces)(np.asarray(real.images)[order], real.labels[order], splits[order])


def test_the_real_one_passes_and_its_faults_are_counted(real: Dataset, tmp_path: Path) -> None:
    report = validate(real, ValidationPolicy(), tmp_path, last_accepted=real.info)
    require_passed(report)
    assert (report.extra_copies, report.conflicting_groups, report.constant, report.near_constant) == (1853, 57, 12, 2)
    assert report.leaked == {"PublicTest": 280, "PrivateTest": 288}
    assert {"extra_copy", "leaked", "conflicting", "constant"} <= {f.expectation for f in report.failed("warning")}
    assert all(signal is not None and signal > 20 for signal in report.label_signal.values())


def test_labels_shifted_by_a_row_are_stopped(source, write, tmp_path: Path) -> None:
    shifted = replace(source, labels=np.roll(source.labels, 1))
    report = validate(write(tmp_path / "dataset", shifted), ValidationPolicy(), tmp_path / "out")
    assert {f.expectation for f in report.failed("blocking")} == {"conflicting", "label_signal"}


def test_a_lost_split_is_stopped(source, write, tmp_path: Path) -> None:
    kept = source.splits != PUBLIC_TEST
    rest = replace(source, images=source.images[kept], labels=source.labels[kept], splits=source.splits[kept])
    report = validate(write(tmp_path / "dataset", rest), ValidationPolicy(), tmp_path / "out")
    with pytest.raises(ValidationFailed, match="required splits are lost; PublicTest"):
        require_passed(report)


def test_half_the_images_black_are_stopped(source, write, tmp_path: Path) -> None:
    images = source.images.copy()
    images[::2] = 0
    report = validate(write(tmp_path / "dataset", replace(source, images=images)), ValidationPolicy(), tmp_path / "out")
    with pytest.raises(ValidationFailed, match=r"constant: 17,9\d\d of 35,887 images are of a single gray level"):
        require_passed(report)
