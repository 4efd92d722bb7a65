"""Parts of the test images on which a model may differ: light, contrast, twins."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.dataset import Dataset
from components.labels import TRAINING

Mask = npt.NDArray[np.bool_]
MIN_IMAGES = 20
"""Smaller slices are left out: their figures say nothing."""


def has_twin(dataset: Dataset, rows: npt.NDArray[np.int64]) -> Mask:
    """bool [len(rows)]: an identical or nearly identical image stands in Training (near groups hold exact ones)."""
    manifest = dataset.manifest
    training = manifest.loc[manifest["split"] == TRAINING, "near_group"]
    return manifest.loc[rows, "near_group"].isin(training).to_numpy()


def slice_masks(dataset: Dataset, rows: npt.NDArray[np.int64]) -> dict[str, Mask]:
    """Name -> bool [len(rows)]: thirds by brightness and by contrast, with and without twins."""
    part = dataset.manifest.loc[rows]
    masks: dict[str, Mask] = {}
    for column, names in (("brightness", ("dark", "medium light", "bright")),
                          ("contrast", ("flat", "medium contrast", "contrasty"))):  # fmt: skip
        third = pd.qcut(part[column].rank(method="first"), 3, labels=False)
        masks |= {name: (third == i).to_numpy() for i, name in enumerate(names)}
    twin = has_twin(dataset, rows)
    masks |= {"with a twin in Training": twin, "without a twin in Training": ~twin}
    return {name: mask for name, mask in masks.items() if mask.sum() >= MIN_IMAGES}
