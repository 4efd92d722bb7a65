"""Evaluated models made up from a share of right answers, with figures that are really computed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from components.evaluation.behaviour import CHANGES
from components.evaluation.digest import images_digest
from components.evaluation.metrics import by_class, confusion, figures
from components.evaluation.records import BehaviourFigures, Evaluation, SliceFigures
from components.gate import EvaluatedModel
from components.labels import CLASSES

SUPPORTS = (47, 6, 50, 90, 65, 42, 61)
Judge = Callable[..., EvaluatedModel]


def make(name: str = "challenger", right: float = 0.7, seed: int = 0, version: str | None = None) -> EvaluatedModel:
    """A model that gives the right class to about that share of every class's images, the same images first."""
    labels = np.repeat(np.arange(7), SUPPORTS)
    rank = np.random.default_rng(7).permutation(len(labels)) / len(labels)  # how hard an image is, for every model
    noise = np.random.default_rng(seed).normal(0, 0.02, len(labels))
    answers = np.where(rank + noise < right, labels, (labels + 1) % 7)
    probabilities = (0.1 / 7 + 0.9 * np.eye(7)[answers]).astype(np.float32)
    frame = pd.DataFrame({"id": [f"{i:016x}" for i in range(len(labels))], "label": labels.astype(np.int8)})
    frame = frame.assign(**{f"p_{c}": probabilities[:, i] for i, c in enumerate(CLASSES)})
    evaluation = Evaluation(
        model=name, split="PublicTest", test_digest=images_digest(frame), dataset_fingerprint="f" * 64,
        figures=figures(probabilities, labels), without_twins=None, twins=0, per_class=by_class(labels, answers),
        confusion=tuple(map(tuple, confusion(labels, answers).tolist())),
        ece=0.05, ece_uncalibrated=0.1, temperature=1.2,
        slices=tuple(
            SliceFigures(part, figures(probabilities[i::2], labels[i::2])) for i, part in enumerate(("dark", "bright"))
        ),
        behaviour=tuple(BehaviourFigures(change, 0.9, len(labels)) for change in CHANGES),
        latency_ms=2.5, images_per_second=400.0,
    )  # fmt: skip
    return EvaluatedModel(name, version, f"{seed:x}" * 64, evaluation, frame)


@pytest.fixture
def judge() -> Judge:
    """Makes an EvaluatedModel; options: name, right (share of right answers), seed, version."""
    return make


@pytest.fixture
def with_figures() -> Callable[..., EvaluatedModel]:
    """A model with fields of its evaluation replaced."""

    def change(model: EvaluatedModel, **fields: object) -> EvaluatedModel:
        return replace(model, evaluation=replace(model.evaluation, **fields))

    return change
