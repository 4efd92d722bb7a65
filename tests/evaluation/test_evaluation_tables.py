"""The models side by side and a model class by class, as Markdown."""

from dataclasses import replace

import numpy as np
import pytest
from syrupy.assertion import SnapshotAssertion

from components.evaluation.bootstrap import macro_f1_of
from components.evaluation.metrics import by_class, confusion, figures
from components.evaluation.records import Evaluation
from components.evaluation.tables import FER2013_SUPPORTS, classes_table, is_fer2013, models_table
from components.labels import CLASSES

NETWORKS = {"compact": "compact-vit, from scratch", "resnet18_48": "ResNet-18, from scratch"}


def judge(name: str, supports: tuple[int, ...], accuracy: float, split: str = "PublicTest") -> Evaluation:
    """An evaluation of a made-up model that is right on that share of the images."""
    rng = np.random.default_rng(len(name))
    labels = np.repeat(np.arange(7), supports)
    answers = np.where(rng.random(len(labels)) < accuracy, labels, rng.integers(0, 7, len(labels)))
    probabilities = 0.1 / 7 + 0.9 * np.eye(7)[answers]
    half = slice(0, None, 2)
    return Evaluation(
        model=name, split=split, test_digest="d" * 64, dataset_fingerprint="f" * 64,
        figures=figures(probabilities, labels), without_twins=figures(probabilities[half], labels[half]),
        twins=len(labels) // 2, per_class=by_class(labels, answers),
        confusion=tuple(map(tuple, confusion(labels, answers).tolist())), ece=0.05, ece_uncalibrated=0.1,
        temperature=1.2, slices=(), behaviour=(), latency_ms=1.0, images_per_second=500.0,
    )  # fmt: skip


@pytest.fixture
def on_fer2013() -> list[Evaluation]:
    supports = FER2013_SUPPORTS["PublicTest"]
    return [judge("compact", supports, 0.6), judge("resnet18_48", supports, 0.45)]


def test_the_models_table_on_fer2013_ends_with_the_papers_accuracies(
    on_fer2013: list[Evaluation], snapshot: SnapshotAssertion
) -> None:
    assert models_table(on_fer2013, NETWORKS) == snapshot


def test_the_models_table_elsewhere_does_not_name_the_paper(snapshot: SnapshotAssertion) -> None:
    table = models_table([judge("quick", (50, 6, 50, 88, 59, 39, 61), 0.7)])
    assert "paper" not in table
    assert table == snapshot


def test_every_row_has_the_heads_columns(on_fer2013: list[Evaluation]) -> None:
    for table in (models_table(on_fer2013), models_table(on_fer2013, NETWORKS), classes_table(on_fer2013[0])):
        assert len({line.count("|") for line in table.splitlines() if line.startswith("|")}) == 1


def test_the_classes_table_tells_every_class_and_both_means(
    on_fer2013: list[Evaluation], snapshot: SnapshotAssertion
) -> None:
    table = classes_table(on_fer2013[0])
    assert all(f"| {name} |" in table for name in CLASSES)
    assert table == snapshot


def test_the_means_of_the_classes_table_are_macro_and_weighted_f1() -> None:
    evaluation = judge("m", (30, 0, 30, 30, 30, 30, 30), 0.5)
    rows = {
        line.split("|")[1].strip(): line.split("|")[4].strip() for line in classes_table(evaluation).splitlines()[2:]
    }
    macro = float(macro_f1_of(np.array(evaluation.confusion)))
    assert rows["**mean over classes**"] == f"{100 * macro:.2f} %"
    assert rows["**mean over images**"] == f"{100 * evaluation.figures.weighted_f1:.2f} %"


def test_the_models_table_tells_macro_precision_and_recall(on_fer2013: list[Evaluation]) -> None:
    head, _, first, *_ = [line.split(" | ") for line in models_table(on_fer2013).splitlines()[2:]]
    told = dict(zip(head, first, strict=True))
    compact = on_fer2013[0].per_class
    assert told["macro precision"] == f"{100 * np.mean([c.precision for c in compact]):.2f} %"
    assert told["macro recall"] == f"{100 * np.mean([c.recall for c in compact]):.2f} %"


def test_fer2013_is_known_by_its_split_and_its_counts(on_fer2013: list[Evaluation]) -> None:
    assert is_fer2013(on_fer2013[0])
    assert not is_fer2013(replace(on_fer2013[0], split="PrivateTest"))
    assert not is_fer2013(judge("m", (467, 56, 496, 895, 653, 415, 606), 0.5))


def test_a_model_with_no_image_free_of_twins_leaves_those_columns_empty() -> None:
    lone = replace(judge("m", (9, 9, 9, 9, 9, 9, 9), 0.5), without_twins=None)
    assert "|  |  |" in models_table([lone])
