"""The model whose behaviour is looked at, and faces drawn for it."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from components.dataset import open_dataset
from components.evaluation.scoring import score
from components.ingest import IngestOptions, ingest
from components.ingest.expressions import Actions, draw_actions
from components.ingest.heads import draw_heads
from components.ingest.photo import draw_scenes, photograph
from components.labels import CLASSES
from components.training.recipes import load_preset, override
from components.training.train import Job, train

Images = npt.NDArray[np.uint8]
PEOPLE = 300


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Images], npt.NDArray[np.float32]]:
    """Probabilities [N, 7] of the model.onnx in FERLINE_TEST_MODEL, else of `make run`'s ViT trained shorter."""
    named = os.environ.get("FERLINE_TEST_MODEL")
    if named:
        model = Path(named)
    else:
        folder = tmp_path_factory.mktemp("model")
        dataset = open_dataset(ingest("synthetic", folder, IngestOptions()).folder)
        recipe = override(load_preset("quick"), ["epochs=10", "precision=fp32"])  # the same model on every processor
        train(Job("quick", recipe, dataset.root, folder / "run"), lambda _: None)
        model = folder / "run" / "model.onnx"
    return lambda images: score(model, images).probabilities


def faces(*changes: tuple[str, float]) -> Images:
    """300 people nobody trained on, all neutral but for some action units: uint8 [300, 48, 48].

    The same people in the same light, whatever the changes.
    """
    people, moves, light, grain = (np.random.default_rng(seed) for seed in (10_001, 10_002, 10_003, 10_004))
    actions = draw_actions(np.full(PEOPLE, CLASSES.index("neutral")), moves)
    actions = replace(actions, **{unit: np.full((PEOPLE, 1), value, np.float32) for unit, value in changes})
    assert isinstance(actions, Actions)
    return photograph(draw_heads(PEOPLE, people), actions, draw_scenes(PEOPLE, light, 0.0, 0.0, 0.0), grain)


SMILE = (("corner_up", 1.0), ("cheek", 0.9), ("part", 0.9))


@pytest.fixture(scope="session")
def neutral_faces() -> Images:
    return faces()


@pytest.fixture(scope="session")
def smiling_faces() -> Images:
    return faces(*SMILE)
