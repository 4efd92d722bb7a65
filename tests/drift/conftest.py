"""A reference and windows of made-up predictions, with or without a shift."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from components.drift import Reference
from components.predictions import Window, id_at

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
Make = Callable[..., Window]


def table(
    rows: int, seed: int, darker: float = 0.0, flatter: float = 0.0, blurrier: float = 0.0, unsure: float = 0.0,
    happy: float = 0.2,
) -> tuple[pd.DataFrame, np.ndarray]:  # fmt: skip
    """Rows of a log whose model is right as often as it is confident."""
    rng = np.random.default_rng(seed)
    answers = np.where(rng.random(rows) < happy, 3, rng.integers(0, 7, rows))
    sure = rng.uniform(0.3, 1.0, rows) - unsure
    probabilities = np.repeat(((1 - sure) / 6)[:, None], 7, axis=1)
    probabilities[np.arange(rows), answers] = sure
    right = rng.random(rows) < sure
    frame = pd.DataFrame(
        {
            "brightness": rng.normal(120 - darker, 25, rows), "contrast": rng.normal(50 - flatter, 9, rows),
            "sharpness": rng.gamma(2, 300 * (1 - blurrier), rows), "answer": answers, "confidence": sure,
            "uncertain": sure < 0.4, "label": np.where(right, answers, (answers + rng.integers(1, 7, rows)) % 7),
        }
    )  # fmt: skip
    return frame, probabilities.astype(np.float32)


@pytest.fixture(scope="session")
def reference() -> Reference:
    frame, _ = table(1500, seed=1)
    return Reference(frame, np.random.default_rng(2).normal(size=(1500, 16)).astype(np.float32))


@pytest.fixture(scope="session")
def make_window() -> Make:
    def make(
        rows: int = 500, seed: int = 5, day: int = 0, moved: float = 0.0, labels: int = 0, wrong: bool = False,
        tags: tuple[str, ...] = ("",), version: str = "3", **shift: float,
    ) -> Window:  # fmt: skip
        frame, probabilities = table(rows, seed, **shift)
        rng, since = np.random.default_rng(seed), NOON + timedelta(days=day)
        ids = sorted(id_at(since + timedelta(seconds=k), rng.bytes(10)) for k in range(rows))
        frame = frame.assign(id=ids, tag=[tags[k % len(tags)] for k in range(rows)])
        embedding = rng.normal(size=(rows, 16)).astype(np.float32)
        embedding[:, 0] += moved
        labelled = frame.iloc[:labels].copy()
        if wrong:
            labelled["label"] = (labelled["answer"] + 1) % 7
        return Window(
            version, since, since + timedelta(hours=1), frame, np.arange(rows), probabilities, embedding, labelled,
            probabilities[:labels],
        )  # fmt: skip

    return make
