"""Which Training rows a model learns from, and which of them are set aside for validation."""

import numpy as np
import pandas as pd

from components.balancing.records import DataRecipe, Rows, Selection
from components.dataset import Dataset
from components.errors import RecipeError
from components.labels import TEST_SPLITS, TRAINING


def select(dataset: Dataset, recipe: DataRecipe) -> Selection:
    """Sort the Training rows by what the recipe does with them; raises RecipeError if none stays."""
    manifest = dataset.manifest
    training = manifest.loc[dataset.rows(TRAINING), ["exact_group", "near_group", "label"]]
    tests = manifest.loc[manifest["split"].isin(TEST_SPLITS), ["exact_group", "near_group"]]
    exact = training["exact_group"].isin(tests["exact_group"])
    near = training["near_group"].isin(tests["near_group"]) & ~exact
    labels = training.groupby("exact_group")["label"].transform("nunique")
    removed: dict[str, Rows] = {}
    for reason, found, wanted in (
        ("leaked", exact, recipe.leaked == "remove"),
        ("near_leaked", near, recipe.near_leaked == "remove"),
        ("conflicts", labels > 1, recipe.conflicts == "remove"),
        ("copies", training["exact_group"].duplicated(), recipe.copies == "first"),
    ):
        hit = found.reindex(training.index) & wanted
        removed[reason] = training.index[hit].to_numpy(np.int64)
        training = training[~hit]
    if training.empty:
        raise RecipeError(
            f"the data recipe leaves no image of dataset {dataset.info.name} to learn from: "
            + ", ".join(f"{reason} takes {len(rows)}" for reason, rows in removed.items())
            + ". Set one of them to keep."
        )
    return Selection(training.index.to_numpy(np.int64), removed)


def validation_slice(dataset: Dataset, rows: Rows, share: float, seed: int) -> Rows:
    """About `share` of every class among `rows`, near-duplicate groups taken whole or not at all.

    A group counts for the class of its first row. Each class with at least two groups gives one or more;
    a class with a single group keeps it for training. Deterministic by seed; ascending.
    """
    part = dataset.manifest.loc[np.sort(rows), ["near_group", "label"]]
    groups = part.groupby("near_group", sort=True)["label"].agg(["first", "size"])
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for _, members in groups.groupby("first", sort=True):
        chosen += _draw(members["size"].iloc[rng.permutation(len(members))], share)
    return np.asarray(part.index[part["near_group"].isin(chosen)], np.int64)


def _draw(sizes: "pd.Series[int]", share: float) -> list[int]:
    """Groups, in the order given, that together hold `share` of the images; those too large are passed over."""
    if len(sizes) < 2:
        return []
    wanted = max(1, round(share * int(sizes.sum())))
    taken, chosen = 0, []
    for group, size in sizes.items():
        if taken + size <= wanted:
            taken += size
            chosen.append(int(str(group)))
    return chosen or [int(str(sizes.idxmin()))]
