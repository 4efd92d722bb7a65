"""What a package says beside its model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.balancing.records import Sample
from components.dataset import Dataset
from components.labels import PUBLIC_TEST, TRAINING
from components.registry import build_package
from components.registry import package as module
from components.registry.package import reference_rows, uncertainty_threshold
from tests.registry.conftest import write_model
from tests.report.contests import repeat


def answers(confidences: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose answer is class 0 with these confidences, and labels that agree or not."""
    top = np.array(confidences, np.float32)
    rest = np.repeat((1 - top[:, None]) / 6, 6, axis=1)
    return np.concatenate([top[:, None], rest], 1), np.where(right, 0, 1)


def test_the_threshold_parts_mostly_wrong_from_mostly_right_answers() -> None:
    found = uncertainty_threshold(*answers([0.3, 0.35, 0.4, 0.6, 0.8, 0.9], [False, True, False, True, True, True]))
    assert found == pytest.approx(0.4)


def test_a_model_that_is_mostly_right_throughout_is_never_uncertain() -> None:
    assert uncertainty_threshold(*answers([0.3, 0.5, 0.9], [True, True, False])) == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.2, 1), st.booleans()), min_size=1, max_size=60, unique_by=lambda pair: pair[0]))
def test_at_and_below_the_threshold_fewer_than_half_are_right(pairs: list[tuple[float, bool]]) -> None:
    probabilities, labels = answers([c for c, _ in pairs], [r for _, r in pairs])
    confidence, right = probabilities.max(1), labels == 0
    found = uncertainty_threshold(probabilities, labels)
    for level in np.unique(confidence):
        if level == np.float32(found):
            assert right[confidence <= level].mean() < 0.5
        elif level > found:
            assert right[confidence <= level].mean() >= 0.5


@pytest.fixture
def sample(tiny_dataset: Dataset) -> Sample:
    """Every twentieth image of Training is set aside, one of each class at least."""
    rows = tiny_dataset.rows(TRAINING)
    validation = np.union1d(rows[::20], rows[np.unique(tiny_dataset.labels[rows], return_index=True)[1]])
    train = np.setdiff1d(rows, validation)
    return Sample(train, np.zeros(len(train), bool), np.ones(len(train)), validation, np.ones(7, np.float32))


@pytest.fixture
def finished(tiny_dataset: Dataset, sample: Sample, tmp_path: Path) -> Path:
    """A folder with what a training and an evaluation leave, its model small and untrained."""
    run, evaluation = tmp_path / "run", tmp_path / "evaluation"
    run.mkdir()
    evaluation.mkdir()
    write_model(run / "model.onnx", seed=1, side=48)
    sample.save(run / "sample.npz")
    made = repeat("vgg16-48", 0, 0.6, tiny_dataset, run / "model.onnx").run
    (run / "summary.json").write_text(made.summary.to_json())
    (run / "recipe.json").write_text("{}")
    (evaluation / "evaluation.json").write_text(made.evaluation.to_json())
    return tmp_path


@pytest.mark.parametrize("most", [5000, 60, 20])
def test_drift_is_measured_against_images_that_the_model_has_not_learned_from(
    tiny_dataset: Dataset, sample: Sample, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REFERENCE_ROWS", most)
    rows, tests = reference_rows(sample, tiny_dataset), tiny_dataset.rows(PUBLIC_TEST)
    assert len(rows) == min(most, len(sample.validation) + len(tests))
    assert (np.diff(rows) > 0).all()
    assert set(rows) <= {*sample.validation, *tests}
    assert not set(rows) & set(sample.train)
    assert np.isin(rows, sample.validation).sum() == min(most, len(sample.validation)), "they come first"


@pytest.mark.parametrize("new", [99, 100])
def test_new_images_become_the_reference_where_they_are_enough(
    tiny_dataset: Dataset, sample: Sample, finished: Path, new: int
) -> None:
    rows = tiny_dataset.rows(TRAINING)[:new]
    held_back = Dataset(
        tiny_dataset.root, replace(tiny_dataset.info, images=new), tiny_dataset.images[rows],
        tiny_dataset.manifest.iloc[rows],
    )  # fmt: skip
    made = build_package(
        finished / "run", finished / "evaluation", tiny_dataset, finished / "package", new_data=held_back
    )
    expected = rows if new == 100 else reference_rows(sample, tiny_dataset)
    assert pd.read_parquet(made.reference)["id"].tolist() == tiny_dataset.manifest["id"].iloc[expected].tolist()


def test_the_examples_show_each_class_and_none_that_the_model_has_learned_from(
    tiny_dataset: Dataset, sample: Sample, finished: Path
) -> None:
    made = build_package(finished / "run", finished / "evaluation", tiny_dataset, finished / "package")
    with np.load(made.examples) as stored:
        shown = [np.flatnonzero((tiny_dataset.images == image).all((1, 2))) for image in stored["images"]]
    assert len(shown) == 8
    of_validation = [rows[np.isin(rows, sample.validation)] for rows in shown]
    assert all(len(rows) for rows in of_validation)
    assert {int(tiny_dataset.labels[rows[0]]) for rows in of_validation} == set(range(7))
