"""What a dataset with known faults is told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.dataset import PRODUCTION, Dataset
from components.errors import DataError
from components.validation import ValidationReport
from components.validation.twins import near_pairs

Validated = tuple[ValidationReport, Path]


def test_faults_are_counted(validated: Validated) -> None:
    report, _ = validated
    assert report.constant == 2
    assert report.extra_copies == 4
    assert report.conflicting_groups == 1
    assert report.leaked == {"PublicTest": 2, "PrivateTest": 1}
    assert report.near_leaked == {"PublicTest": 2, "PrivateTest": 0}
    assert report.near_groups == 2


def test_faults_within_tolerance_are_warnings_and_the_dataset_passes(validated: Validated) -> None:
    report, _ = validated
    assert report.passed
    names = {finding.expectation for finding in report.failed("warning")}
    assert names == {"constant", "extra_copy", "leaked", "near_leaked", "conflicting"}


def test_a_finding_shows_ids_and_a_sentence(validated: Validated, faulty_dataset: Dataset) -> None:
    report, _ = validated
    found = next(f for f in report.failed("warning") if f.expectation == "constant")
    flat = np.asarray(faulty_dataset.images).reshape(900, -1)
    ids = faulty_dataset.manifest["id"][flat.min(1) == flat.max(1)]
    assert found.offending_ids == tuple(ids)
    assert found.offending_count == 2
    assert found.detail == "2 of 900 images are of a single gray level"
    assert found.check == "ExpectColumnValuesToBeInSet"
    assert (found.observed, found.threshold) == (pytest.approx(2 / 900), 0)


def test_the_report_survives_its_file(validated: Validated) -> None:
    report, out = validated
    assert ValidationReport.from_json((out / "report.json").read_text()) == report


def test_a_report_of_another_version_is_refused(validated: Validated) -> None:
    with pytest.raises(DataError, match="schema_version 99"):
        ValidationReport.from_json(validated[0].to_json().replace('"schema_version": 1', '"schema_version": 99'))


def test_data_docs_name_every_suite(validated: Validated) -> None:
    report, out = validated
    page = (out / report.docs).read_text()
    assert "images-blocking" in page
    assert "images-warning" in page
    assert not (out / "gx").exists()


def test_the_sheet_shows_one_pair_a_group(validated: Validated, faulty_dataset: Dataset) -> None:
    report, out = validated
    pairs = near_pairs(faulty_dataset)
    theirs = faulty_dataset.manifest.assign(source=PRODUCTION + faulty_dataset.manifest["source"])
    assert near_pairs(replace(faulty_dataset, manifest=theirs)) == [], "a person may want theirs deleted"
    assert len(pairs) == 2
    assert all(pair.difference == pytest.approx(1) for pair in pairs)
    with Image.open(out / report.twins) as sheet:
        assert sheet.size[0] > sheet.size[1] > 96
