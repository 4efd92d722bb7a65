"""How far a window lies from the reference, and how far chance alone would put it.

A distance between two samples is never 0, and grows as they get smaller. So each check has two hurdles: the policy's
effect, below which a difference is of no interest, and the noise: what the given share of pairs of resamples of the
reference, of the same two sizes, exceed (bootstrap, Efron 1979). With 500 rows the noise is the higher one, with
100,000 the effect.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial.distance import jensenshannon
from scipy.stats import norm, rankdata, wasserstein_distance
from sklearn import config_context
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from components.drift.policy import Check, DriftPolicy
from components.drift.records import Finding, Floats, Kind, Reference
from components.labels import CLASSES

Values = npt.NDArray[np.float64]
Statistic = Callable[[Values, Values], float]

RESAMPLES = 400
RESAMPLE_ROWS = 2000
"""Noise is resampled at no more rows than this a side, and scaled: it goes with the root of 1/n + 1/m."""
CLASSIFIED = 2500
PERMUTATIONS = 24
FOLDS = 5


def wasserstein(reference: Values, current: Values) -> float:
    """Wasserstein-1 distance in standard deviations of the reference, as Evidently's `wasserstein`."""
    return float(wasserstein_distance(reference, current) / max(float(reference.std()), 0.001))


def share_distance(reference: Values, current: Values) -> float:
    """Jensen-Shannon distance (natural logarithm) of the shares of whole numbers, as Evidently's `jensenshannon`."""
    kinds = int(max(reference.max(), current.max())) + 1
    shares = [np.bincount(values.astype(np.int64), minlength=kinds) / len(values) for values in (reference, current)]
    return float(np.nan_to_num(jensenshannon(*shares)))


COLUMNS: dict[str, tuple[str, Kind]] = {
    "brightness": ("brightness", "covariate"),
    "contrast": ("contrast", "covariate"),
    "sharpness": ("sharpness", "covariate"),
    "answers": ("answer", "prediction"),
    "confidence": ("confidence", "prediction"),
    "uncertain": ("uncertain", "prediction"),
}
"""Check -> column and kind."""
STATISTICS: dict[str, Statistic] = {"answer": share_distance, "uncertain": share_distance, "label": share_distance}
"""Column -> statistic, where it is not the Wasserstein distance."""
NAMES: dict[Statistic, str] = {
    wasserstein: "Wasserstein distance in standard deviations",
    share_distance: "Jensen-Shannon distance of shares",
}


def column_findings(reference: Reference, current: pd.DataFrame, policy: DriftPolicy) -> Iterator[Finding]:
    """A finding for each column whose check is not off."""
    for name, (column, kind) in COLUMNS.items():
        check: Check = getattr(policy.checks, name)
        if check.severity != "off":
            yield column_finding(name, kind, column, reference, current, check, policy.false_alarm)


def column_finding(
    name: str, kind: Kind, column: str, reference: Reference, current: pd.DataFrame, check: Check, share: float
) -> Finding:
    """One column of N rows against the reference's."""
    statistic = STATISTICS.get(column, wasserstein)
    before, now = (table[column].to_numpy(np.float64) for table in (reference.table, current))
    value = statistic(before, now)
    threshold = max(check.effect, noise(reference, column, len(now), share))
    detail = (_shares if column in ("answer", "label") else _means)(before, now)
    return Finding(name, kind, NAMES[statistic], value, threshold, check.severity, value > threshold, len(now), detail)


@lru_cache(maxsize=128)
def noise(reference: Reference, column: str, rows: int, share: float) -> float:
    """What `share` of resamples of the reference exceed: a window of `rows` against a reference of this size."""
    rng, statistic = np.random.default_rng(0), STATISTICS.get(column, wasserstein)
    values = reference.table[column].to_numpy(np.float64)
    n, m = (min(size, RESAMPLE_ROWS) for size in (len(values), rows))
    draws = [statistic(rng.choice(values, n), rng.choice(values, m)) for _ in range(RESAMPLES)]
    scale = np.sqrt((1 / len(values) + 1 / rows) / (1 / n + 1 / m))
    return float(np.quantile(draws, 1 - share) * scale)


def embedding_finding(reference: Floats, current: Floats, policy: DriftPolicy) -> Finding:
    """A domain classifier on what the model sees (Rabanser et al. 2019, arXiv 1810.11953).

    Its threshold is a permutation test's: the same with the two sides mixed, at the normal quantile of the policy's
    false alarms. Out of fold, mixed sides give a little less than 0.5: what is in a fold is missing from the others.
    At most 2,500 faces a side, drawn evenly at random. reference: float32 [R, D]; current: float32 [N, D].
    """
    check, rng = policy.checks.embedding, np.random.default_rng(0)
    ours, theirs = (_draw(side, CLASSIFIED, rng) for side in (reference, current))
    faces = np.concatenate([ours, theirs])
    side = np.repeat([0, 1], [len(ours), len(theirs)])
    value = told_apart(faces, side)
    mixed = [told_apart(faces, rng.permutation(side)) for _ in range(PERMUTATIONS)]
    chance = np.mean(mixed) + norm.isf(policy.false_alarm) * np.std(mixed)
    threshold = float(max(check.effect, chance))
    return Finding(
        "embedding", "covariate", "area under the ROC curve of a domain classifier", value, threshold, check.severity,
        value > threshold, len(theirs), f"{value:.0%} of pairs of a window's and a reference's face are told apart",
    )  # fmt: skip


def told_apart(faces: Floats, side: npt.NDArray[np.int64]) -> float:
    """Mean area under the ROC curve, 0 to 1, of a linear discriminant with Ledoit and Wolf's shrinkage (2004), out of
    fold. faces: float32 [M, D]; side: int64 [M], 0 or 1."""
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    # Scores of two folds come from two models: ranks are compared within a fold, and the areas averaged.
    with config_context(assume_finite=True, skip_parameter_validation=True):  # half of the time of small windows
        scores = cross_val_predict(model, faces, side, cv=folds, method="decision_function")
    return float(np.mean([_area(scores[test], side[test]) for _, test in folds.split(faces, side)]))


def _area(scores: Values, side: npt.NDArray[np.int64]) -> float:
    """Under the ROC curve, from the ranks of the ones (Mann and Whitney 1947)."""
    ones = int(side.sum())
    above = rankdata(scores)[side == 1].sum() - ones * (ones + 1) / 2
    return float(above / (ones * (len(side) - ones)))


def _draw(rows: Floats, most: int, rng: np.random.Generator) -> Floats:
    return rows if len(rows) <= most else rows[np.sort(rng.choice(len(rows), most, replace=False))]


def _means(reference: Values, current: Values) -> str:
    return f"mean {reference.mean():.3g} -> {current.mean():.3g}"


def _shares(reference: Values, current: Values) -> str:
    """The three classes that moved most."""
    before, now = (np.bincount(v.astype(np.int64), minlength=len(CLASSES)) / len(v) for v in (reference, current))
    most = np.argsort(-np.abs(now - before))[:3]
    return ", ".join(f"{CLASSES[k]} {before[k]:.0%} -> {now[k]:.0%}" for k in most)
