"""A prediction, and a journal over a local store and one on a server."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import uuid6

from components.journal import Journal, Logbook
from components.predictions import Prediction
from components.store import Store

LONG_AGO, FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def prediction(id: str = "", answer: int = 3, **given: object) -> Prediction:
    probabilities = np.full(7, 0.05, np.float32)
    probabilities[answer] = 0.7
    facts = {
        "version": "1", "role": "champion", "uncertain": False, "brightness": 120.0, "contrast": 50.0,
        "sharpness": 900.0, "face_width": 48, "latency_ms": 3.0, "embedding": np.arange(4, dtype=np.float32),
    }  # fmt: skip
    return Prediction(id or uuid6.uuid7().hex, probabilities=probabilities, **{**facts, **given})  # type: ignore[arg-type]


def made(day: datetime) -> str:
    """An id of a day."""
    return f"{int(day.timestamp() * 1000):012x}7" + uuid6.uuid7().hex[13:]


@pytest.fixture
def journal(store: Store, tmp_path: Path) -> Journal:
    return Journal(tmp_path / "log", Logbook(store), 30)


def ship_and_die(journal: Journal) -> None:
    """The file is in the store, and nobody has noted so."""

    def killed(name: str) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(journal.spool, "drop", killed)
        with pytest.raises(KeyboardInterrupt):
            journal.ship()
