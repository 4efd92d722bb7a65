"""Which Training rows a model learns from, and which of them are set aside for validation."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from components.balancing.records import DataRecipe, Rows, Selection
from components.dataset import PRODUCTION, Dataset
from components.errors import RecipeError
from components.labels import TEST_SPLITS, TRAINING

EXCLUDE = "exclude.csv"


def select(dataset: Dataset, recipe: DataRecipe) -> Selection:
    """Sort the Training rows by what the recipe does with them.

    Raises RecipeError if none stays, or the list that the recipe names is not one of this dataset's images.
    """
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
        ("excluded", _listed(dataset, training.index, recipe.exclude), bool(recipe.exclude)),
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


def exclusion_list(where: str) -> Path:
    """The file that `data.exclude` names: itself, or the one in an audit's folder."""
    path = Path(where).expanduser()
    return path / EXCLUDE if path.is_dir() else path


def _listed(dataset: Dataset, training: pd.Index, where: str) -> "pd.Series[bool]":
    """Which of the Training images stand in the exclusion list."""
    if not where:
        return pd.Series(False, training)
    ids: pd.Series[str] = dataset.manifest["id"].loc[training]
    file = exclusion_list(where)
    try:
        listed = pd.read_csv(file, usecols=["id"], dtype=str)["id"]
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"data.exclude is {where!r}: {error}. Name an audit's folder, or a CSV file with a column id."
        ) from error
    unknown = listed[~listed.isin(ids)]
    if len(unknown):
        raise RecipeError(
            f"{len(unknown)} of the {len(listed)} ids in {file} are no Training images of dataset {dataset.info.name}, "
            f"the first is {unknown.iloc[0]}: the list belongs to another dataset."
        )
    return ids.isin(listed)


def validation_slice(dataset: Dataset, rows: Rows, share: float, seed: int) -> Rows:
    """About `share` of every class among `rows`, near-duplicate groups taken whole or not at all.

    A group counts for the class of its first row. Each class with at least two groups gives one or more;
    a class with a single group keeps it for training. A group with an image of production is for training alone. Which
    groups come first is told by the seed and by their own images, not by what else there is: a retraining's slice
    is that of the training before, but for the groups that now hold an image of production and as many in their place.
    Deterministic by seed; ascending.
    """
    part = dataset.manifest.loc[np.sort(rows), ["near_group", "label", "source", "sha256"]]
    production = part.loc[part["source"].str.startswith(PRODUCTION), "near_group"]
    part = part[~part["near_group"].isin(production)]
    groups = part.groupby("near_group").agg(label=("label", "first"), size=("label", "size"), face=("sha256", "min"))
    groups["place"] = [hashlib.sha256(f"{seed} {face}".encode()).hexdigest() for face in groups["face"]]
    chosen: list[int] = []
    for _, members in groups.sort_values("place").groupby("label"):
        chosen += _draw(members["size"], share)
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
