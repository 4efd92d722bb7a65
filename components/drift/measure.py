"""How far a window lies from the reference, and how far chance alone would put it.

A distance between two samples is never 0, and grows as they get smaller. So each check has two hurdles: the policy's
effect, below which a difference is of no interest, and the noise: what the given share of pairs of resamples of the
reference, of the same two sizes, exceed (bootstrap, Efron 1979). With 500 rows the noise is the higher one, with
100,000 the effect.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial.distance import jensenshannon
from scipy.stats import norm, rankdata, wasserstein_distance
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from components.drift.policy import Check, DriftPolicy
from components.drift.records import Finding, Floats, Kind
from components.labels import CLASSES

Values = npt.NDArray[np.float64]
Statistic = Callable[[Values, Values], float]

RESAMPLES = 400
RESAMPLE_ROWS = 2000
"""Noise is resampled at no more rows than this a side, and scaled: it goes with the root of 1/n + 1/m."""
COMPONENTS = 8
FOLDS = 5


def wasserstein(reference: Values, current: Values) -> float:
    """Wasserstein-1 distance in standard deviations of the reference, as Evidently's `wasserstein`."""
    return float(wasserstein_distance(reference, current) / max(float(reference.std()), 0.001))


def share_distance(reference: Values, current: Values) -> float:
    """Jensen-Shannon distance (natural logarithm) of the shares of whole numbers, as Evidently's `jensenshannon`."""
    kinds = int(max(reference.max(), current.max())) + 1
    shares = [np.bincount(values.astype(np.int64), minlength=kinds) / len(values) for values in (reference, current)]
    return float(np.nan_to_num(jensenshannon(*shares)))


COLUMNS: dict[str, tuple[str, Kind, Statistic]] = {
    "brightness": ("brightness", "covariate", wasserstein),
    "contrast": ("contrast", "covariate", wasserstein),
    "sharpness": ("sharpness", "covariate", wasserstein),
    "answers": ("answer", "prediction", share_distance),
    "confidence": ("confidence", "prediction", wasserstein),
    "uncertain": ("uncertain", "prediction", share_distance),
}
"""Check -> column, kind, statistic."""
NAMES: dict[Statistic, str] = {
    wasserstein: "Wasserstein distance in standard deviations",
    share_distance: "Jensen-Shannon distance of shares",
}


def column_findings(reference: pd.DataFrame, current: pd.DataFrame, policy: DriftPolicy) -> Iterator[Finding]:
    """A finding for each column whose check is not off."""
    for name, (column, kind, statistic) in COLUMNS.items():
        check: Check = getattr(policy.checks, name)
        if check.severity != "off":
            before, now = (table[column].to_numpy(np.float64) for table in (reference, current))
            yield column_finding(name, kind, statistic, before, now, check, policy.false_alarm)


def column_finding(
    name: str, kind: Kind, statistic: Statistic, reference: Values, current: Values, check: Check, share: float
) -> Finding:
    """One column against the reference's. reference: float64 [R]; current: float64 [N]."""
    value = statistic(reference, current)
    threshold = max(check.effect, noise(statistic, reference, len(current), share))
    detail = _shares(reference, current) if statistic is share_distance and name != "uncertain" else _means(
        reference, current
    )  # fmt: skip
    return Finding(
        name, kind, NAMES[statistic], value, threshold, check.severity, value > threshold, len(current), detail
    )


def noise(statistic: Statistic, reference: Values, rows: int, share: float, seed: int = 0) -> float:
    """What `share` of resamples of the reference exceed: a window of `rows` against a reference of this size."""
    rng = np.random.default_rng(seed)
    n, m = (min(size, RESAMPLE_ROWS) for size in (len(reference), rows))
    draws = [statistic(rng.choice(reference, n), rng.choice(reference, m)) for _ in range(RESAMPLES)]
    scale = np.sqrt((1 / len(reference) + 1 / rows) / (1 / n + 1 / m))
    return float(np.quantile(draws, 1 - share) * scale)


def embedding_finding(reference: Floats, current: Floats, policy: DriftPolicy) -> Finding:
    """A domain classifier on principal components (Rabanser et al. 2019, arXiv 1810.11953).

    Logistic regression on the leading components of both sides, their squares and products, its scores out of fold.
    Without drift its area under the ROC curve is that of a rank sum (Mann and Whitney 1947): 0.5 with variance
    (n + m + 1) / 12 n m.
    """
    check = policy.checks.embedding
    value = told_apart(reference, current)
    n, m = len(reference), len(current)
    chance = 0.5 + norm.isf(policy.false_alarm) * np.sqrt((n + m + 1) / (12 * n * m))
    threshold = float(max(check.effect, chance))
    return Finding(
        "embedding", "covariate", "area under the ROC curve of a domain classifier", value, threshold, check.severity,
        value > threshold, m, f"{value:.2f} of the pairs of a window's and a reference's face are told apart",
    )  # fmt: skip


def told_apart(reference: Floats, current: Floats) -> float:
    """Area under the ROC curve, 0 to 1. reference: float32 [R, D]; current: float32 [N, D]."""
    faces = np.concatenate([reference, current])
    side = np.repeat([0, 1], [len(reference), len(current)])
    components = min(COMPONENTS, faces.shape[1])
    model = make_pipeline(
        StandardScaler(), PCA(components, random_state=0), StandardScaler(), PolynomialFeatures(2, include_bias=False),
        LogisticRegression(C=0.1, class_weight="balanced"),
    )  # fmt: skip
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    # Scores of two folds come from two models: their ranks are compared within a fold, and averaged.
    scores = cross_val_predict(model, faces, side, cv=folds, method="decision_function")
    return float(np.mean([_area(scores[test], side[test]) for _, test in folds.split(faces, side)]))


def _area(scores: Values, side: npt.NDArray[np.int64]) -> float:
    ones = int(side.sum())
    ranks = rankdata(scores)[side == 1].sum()
    return float((ranks - ones * (ones + 1) / 2) / (ones * (len(side) - ones)))


def _means(reference: Values, current: Values) -> str:
    return f"mean {reference.mean():.3g} -> {current.mean():.3g}"


def _shares(reference: Values, current: Values) -> str:
    """The three classes that moved most."""
    before, now = (np.bincount(v.astype(np.int64), minlength=len(CLASSES)) / len(v) for v in (reference, current))
    most = np.argsort(-np.abs(now - before))[:3]
    return ", ".join(f"{CLASSES[k]} {before[k]:.0%} -> {now[k]:.0%}" for k in most)
