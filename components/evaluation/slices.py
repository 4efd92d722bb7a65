"""Parts of the test images on which a model may differ: light, contrast, twins."""

import numpy as np
import numpy.typing as npt

from components.dataset import Dataset
from components.labels import TRAINING

Mask = npt.NDArray[np.bool_]
MIN_IMAGES = 20
"""Smaller slices are left out: their figures say nothing."""
TERCILES = {"brightness": ("dark", "medium light", "bright"), "contrast": ("flat", "medium contrast", "contrasty")}
"""Manifest column -> names of its lower, middle and upper third among the test images."""


def has_twin(dataset: Dataset, rows: npt.NDArray[np.int64]) -> Mask:
    """bool [len(rows)]: an identical or nearly identical image stands in Training (near groups hold exact ones)."""
    manifest = dataset.manifest
    training = manifest.loc[manifest["split"] == TRAINING, "near_group"]
    return manifest.loc[rows, "near_group"].isin(training).to_numpy(dtype=bool)


def slice_masks(dataset: Dataset, rows: npt.NDArray[np.int64]) -> dict[str, Mask]:
    """Name -> bool [len(rows)]: thirds by brightness and by contrast, with and without twins.

    Left out are slices of fewer than MIN_IMAGES images, and those that hold every image.
    """
    masks: dict[str, Mask] = {}
    for column, names in TERCILES.items():
        values = dataset.manifest.loc[rows, column].to_numpy(dtype=np.float64)
        third = np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values)
        masks |= {name: third == i for i, name in enumerate(names)}
    twin = has_twin(dataset, rows)
    masks |= {"with a twin in Training": twin, "without a twin in Training": ~twin}
    return {name: mask for name, mask in masks.items() if MIN_IMAGES <= mask.sum() < len(rows)}
