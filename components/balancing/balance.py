"""Balance the selected Training rows and save the outcome as indices and weights.

Method `paper` follows Di Iorio, "Emotion Recognition Using Vision Transformers", 3.2: majority classes are
under-sampled, minority ones over-sampled, and `disgust` grows through transforms instead of plain copies.
How its limit is read, and what the other readings give: docs/decisions/0003-balancing-limit.md.
"""

import numpy as np
import numpy.typing as npt

from components.balancing.records import BalanceRecipe, DataRecipe, Rows, Sample, Selection
from components.balancing.selection import select, validation_slice
from components.dataset import Dataset
from components.errors import RecipeError
from components.labels import CLASSES

TRANSFORMED = CLASSES.index("disgust")
"""The class whose copies go through geometric and intensity transforms (paper 3.2)."""


def build_sample(dataset: Dataset, data: DataRecipe, balance: BalanceRecipe, seed: int) -> tuple[Selection, Sample]:
    """Select, set a validation slice aside, balance the rest; equal arguments give equal samples.

    Raises RecipeError where nothing is left to train on, or imbalanced-learn is wanted and missing.
    """
    selection = select(dataset, data)
    validation = validation_slice(dataset, selection.kept, data.validation_share, seed)
    rest = np.setdiff1d(selection.kept, validation, assume_unique=True)
    if not len(rest) or not len(validation):
        raise RecipeError(
            f"{len(selection.kept)} selected images of dataset {dataset.info.name} cannot be divided into training and "
            f"validation with a share of {data.validation_share}: they form too few groups of near-duplicates."
        )
    labels = dataset.labels[rest]
    train, augmented = _paper(rest, labels, balance, seed) if balance.method == "paper" else (rest, rest < 0)
    weights = sampler_weights(labels, balance.sampler_power) if balance.method == "sampler" else np.ones(len(train))
    return selection, Sample(train, augmented, weights, validation, class_weights(dataset.labels[train], weights))


def class_counts(dataset: Dataset, rows: Rows) -> dict[str, int]:
    """Class name -> images among `rows`, repeats counted."""
    counts = np.bincount(dataset.labels[rows], minlength=len(CLASSES))
    return dict(zip(CLASSES, counts.tolist(), strict=True))


def class_weights(labels: npt.NDArray[np.int64], draws: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """scikit-learn's "balanced" weights, float32 [7]; 0 for a class without images.

    labels: of a balanced sample, [M]; draws: how often each of its images is expected, [M]. What balancing has made up
    for is not made up for again: where all classes are drawn equally often, all weights are 1.
    """
    counts = np.bincount(labels, draws, minlength=len(CLASSES))
    weights = np.zeros(len(CLASSES), np.float32)
    present = counts > 0
    weights[present] = counts.sum() / (np.count_nonzero(present) * counts[present])
    return weights


def sampler_weights(labels: npt.NDArray[np.int64], power: float = 1.0) -> npt.NDArray[np.float64]:
    """float64 [M] of mean 1: drawn by these, a class of n images comes as often as n ** (1 - power) says."""
    counts = np.bincount(labels, minlength=len(CLASSES)).astype(np.float64)
    weights = counts[labels] ** -power
    return weights * (len(weights) / float(weights.sum()))


def paper_targets(counts: dict[int, int], recipe: BalanceRecipe) -> dict[int, int]:
    """Images of each class after balancing: at most limit x largest, and factor x its own below that ceiling."""
    ceiling = max(1, round(recipe.max_class_limit * max(counts.values())))
    return {label: min(ceiling, max(n, round(n * recipe.oversample_factor))) for label, n in counts.items()}


def _paper(
    rows: Rows, labels: npt.NDArray[np.int64], recipe: BalanceRecipe, seed: int
) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Rows int64 [M] after under- and over-sampling, and which of them are copies of `disgust`."""
    try:
        from imblearn.over_sampling import RandomOverSampler
        from imblearn.under_sampling import RandomUnderSampler
    except ImportError as error:
        raise RecipeError(
            "balance.method is 'paper', which needs imbalanced-learn, and it is not installed. Install it, or take "
            "balance.method=none or sampler, or pass the sample.npz of a run balanced elsewhere."
        ) from error
    present, found = np.unique(labels, return_counts=True)
    counts = dict(zip(present.tolist(), found.tolist(), strict=True))
    targets = paper_targets(counts, recipe)
    if len(counts) == 1:  # imbalanced-learn refuses a single class, and there is nothing to balance
        return rows, rows < 0
    lower = {label: min(counts[label], n) for label, n in targets.items()}
    under = RandomUnderSampler(sampling_strategy=lower, random_state=seed)
    under.fit_resample(rows[:, None], labels)
    kept = np.sort(under.sample_indices_)
    over = RandomOverSampler(sampling_strategy=targets, random_state=seed)
    over.fit_resample(rows[kept][:, None], labels[kept])
    drawn = kept[over.sample_indices_]
    copies = np.arange(len(drawn)) >= len(kept)  # the over-sampler appends its copies
    return rows[drawn], copies & (labels[drawn] == TRANSFORMED)
