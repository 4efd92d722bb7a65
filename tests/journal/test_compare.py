"""The prediction log, by version: against what NumPy says of the same rows."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.journal import Journal, Logbook
from components.journal.compare import COLUMNS, compare
from components.labels import CLASSES
from components.store import LocalStore


def log(rows: int, seed: int = 0) -> pd.DataFrame:
    """Version 1 right on 70 % of the labelled faces, its shadow 2 on 90 %; version 10 on faces of its own."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 7, rows)
    parts = []
    for version, role, right, ids in (
        ("1", "champion", 0.7, "a"),
        ("2", "shadow", 0.9, "a"),
        ("10", "canary", 0.5, "b"),
    ):
        hit = rng.random(rows) < right
        parts.append(pd.DataFrame({
            "id": [f"{ids}{k}" for k in range(rows)], "version": version, "role": role,
            "answer": np.where(hit, truth, (truth + 1) % 7), "confidence": rng.uniform(0.4, 1, rows),
            "uncertain": rng.random(rows) < 0.2, "latency_ms": rng.gamma(2, 3, rows),
            "label": pd.array(np.where(np.arange(rows) % 2 == 0, truth, -1), "Int8"),
        }))  # fmt: skip
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(label=frame["label"].where(frame["label"] >= 0))


def test_versions_are_told_in_their_order_with_their_own_figures() -> None:
    frame = log(600)
    found = compare(frame)
    assert [v.version for v in found.versions] == ["1", "2", "10"]
    first = frame[frame["version"] == "1"]
    told = first[first["label"].notna()]
    figures = found.versions[0]
    assert figures.predictions == 600
    assert figures.roles == ("champion",)
    assert figures.latency_ms == pytest.approx(np.median(first["latency_ms"]))
    assert figures.latency_ms_p99 == pytest.approx(np.percentile(first["latency_ms"], 99))
    assert figures.confidence == pytest.approx(np.mean(first["confidence"]))
    assert figures.uncertain == pytest.approx(np.mean(first["uncertain"]))
    shares = np.bincount(first["answer"], minlength=7) / 600
    assert figures.shares == pytest.approx(dict(zip(CLASSES, shares, strict=True)))
    assert figures.quality is not None
    assert figures.quality.labelled == 300
    assert figures.quality.accuracy == pytest.approx((told["answer"] == told["label"]).mean())
    assert figures.quality.accuracy_interval.low < figures.quality.accuracy < figures.quality.accuracy_interval.high


def test_a_pair_is_compared_on_the_faces_both_have_seen() -> None:
    frame = log(600)
    (pair,) = compare(frame).pairs
    one, two = (frame[frame["version"] == version].reset_index() for version in "12")
    assert (pair.one, pair.other, pair.faces, pair.labelled) == ("1", "2", 600, 300)
    assert pair.agreement == pytest.approx((one["answer"] == two["answer"]).mean())
    assert pair.agreement_interval.low < pair.agreement < pair.agreement_interval.high
    assert pair.confidence_difference == pytest.approx(np.mean(two["confidence"]) - np.mean(one["confidence"]))
    assert pair.macro_f1_difference is not None
    assert 0.05 < pair.macro_f1_difference.low < 0.2 < pair.macro_f1_difference.high < 0.4


def test_without_labels_there_is_no_quality_and_without_rows_nothing(tmp_path: Path) -> None:
    found = compare(log(50).assign(label=pd.array([pd.NA] * 150, "Int8")))
    assert all(v.quality is None for v in found.versions)
    assert found.pairs[0].macro_f1_difference is None
    nothing = Journal(tmp_path, Logbook(LocalStore(tmp_path / "store")), 1).logbook.read(
        datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), COLUMNS
    )
    assert compare(nothing).versions == ()
