"""How two versions did on the same requests, and each on all of its own, from the prediction log."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from components.evaluation.bootstrap import paired_difference
from components.evaluation.labelled import Quality, quality
from components.evaluation.records import Interval
from components.labels import CLASSES

COLUMNS = ["answer", "confidence", "uncertain", "latency_ms"]
"""What a comparison reads of the log."""


@dataclass(frozen=True)
class VersionFigures:
    """One version, in every part it had."""

    version: str
    roles: tuple[str, ...]
    predictions: int
    confidence: float
    """Mean."""
    uncertain: float
    """Share."""
    latency_ms: float
    """Median of the requests; a shadow's is its own, without reading the picture."""
    latency_ms_p99: float
    shares: dict[str, float]
    """Class -> share of the answers."""
    quality: Quality | None
    """None where no label came."""


@dataclass(frozen=True)
class Pair:
    """Two versions on the faces that both have answered."""

    one: str
    other: str
    faces: int
    agreement: float
    """Share of the faces on which both say the same class."""
    agreement_interval: Interval
    """95 %, Wilson 1927."""
    confidence_difference: float
    """Mean of the other's confidence less the one's."""
    labelled: int
    macro_f1_difference: Interval | None
    """95 % interval of the other's macro-F1 less the one's on the labelled ones, paired; None without labels."""


@dataclass(frozen=True)
class Comparison:
    """Everything a window of the log says about its versions."""

    versions: tuple[VersionFigures, ...]
    pairs: tuple[Pair, ...]


def compare(log: pd.DataFrame) -> Comparison:
    """log: rows of the prediction log with COLUMNS and `label`, as Logbook.read gives them."""
    versions = sorted(log["version"].unique(), key=lambda version: (len(version), version))
    figures = tuple(_figures(version, log[log["version"] == version]) for version in versions)
    pairs = [
        _pair(one, other, log) for k, one in enumerate(versions) for other in versions[k + 1 :]
    ]  # fmt: skip
    return Comparison(figures, tuple(pair for pair in pairs if pair is not None))


def _figures(version: str, rows: pd.DataFrame) -> VersionFigures:
    counts = rows["answer"].value_counts()
    return VersionFigures(
        version=version,
        roles=tuple(sorted(rows["role"].unique())),
        predictions=len(rows),
        confidence=float(rows["confidence"].mean()),
        uncertain=float(rows["uncertain"].mean()),
        latency_ms=float(rows["latency_ms"].median()),
        latency_ms_p99=float(rows["latency_ms"].quantile(0.99)),
        shares={name: float(counts.get(k, 0) / len(rows)) for k, name in enumerate(CLASSES)},
        quality=_quality(rows[rows["label"].notna()]),
    )


def _quality(rows: pd.DataFrame) -> Quality | None:
    if rows.empty:
        return None
    return quality(rows["label"].to_numpy(np.int64), rows["answer"].to_numpy(np.int64))


def _pair(one: str, other: str, log: pd.DataFrame) -> Pair | None:
    of_one, of_other = (
        log[log["version"] == version].drop_duplicates("id").set_index("id") for version in (one, other)
    )
    both = of_one.join(of_other[["answer", "confidence"]], how="inner", rsuffix="_other")
    if both.empty:
        return None
    same = int((both["answer"] == both["answer_other"]).sum())
    low, high = binomtest(same, len(both)).proportion_ci(method="wilson")
    told = both[both["label"].notna()]
    difference = None
    if len(told):
        labels, new, old = (told[name].to_numpy(np.int64) for name in ("label", "answer_other", "answer"))
        difference = paired_difference(labels, new, old)
    return Pair(
        one, other, len(both), same / len(both), Interval(float(low), float(high)),
        float((both["confidence_other"] - both["confidence"]).mean()), len(told), difference,
    )  # fmt: skip
