"""Tables the expectations are asked on, derived from a dataset version."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.dataset import Dataset, fingerprint
from components.labels import CLASSES, TEST_SPLITS, TRAINING
from components.validation.policy import ValidationPolicy
from components.validation.probe import label_signal


@dataclass(frozen=True)
class Tables:
    """Each has a column `id`; flags are True where something is amiss, None where the question does not arise."""

    images: pd.DataFrame
    """The manifest, one row an image, and a flag a question."""
    classes: pd.DataFrame
    """One row a required split and class: images, share, gap to Training's share."""
    splits: pd.DataFrame
    """One row a required split: label_signal."""
    dataset: pd.DataFrame
    """One row: fingerprint_differs, repeated_images, ways_to_see_shifted_labels."""

    @property
    def repeated(self) -> int:
        """Groups of identical images."""
        return int(self.dataset["repeated_images"].iloc[0])

    def named(self) -> dict[str, pd.DataFrame]:
        return {"images": self.images, "classes": self.classes, "splits": self.splits, "dataset": self.dataset}


def derive(dataset: Dataset, policy: ValidationPolicy) -> Tables:
    """All tables; the manifest must have its columns."""
    images = _images(dataset, policy)
    signals = label_signal(
        dataset, policy.required_splits, policy.label_signal_min_training, policy.label_signal_min_images
    )
    splits = pd.DataFrame({"id": list(signals), "label_signal": pd.Series(list(signals.values()), dtype="float64")})
    repeated = int((dataset.manifest["exact_group"].value_counts() > 1).sum())
    ways = int(repeated >= policy.conflicts_min_groups) + int(splits["label_signal"].notna().all())
    info = dataset.info
    whole = pd.DataFrame(
        {
            "id": [info.name],
            "fingerprint_differs": [fingerprint(dataset.manifest, info.height, info.width) != info.fingerprint],
            "repeated_images": [repeated],
            "ways_to_see_shifted_labels": [ways],
        }
    )
    return Tables(images, _classes(images, policy.required_splits), splits, whole)


def _images(dataset: Dataset, policy: ValidationPolicy) -> pd.DataFrame:
    """The manifest with its flags."""
    table = dataset.manifest.copy()
    names = dict(enumerate(CLASSES))
    table["class"] = [names.get(label, f"label {label}") for label in table["label"]]
    table["pixels_differ"] = table["sha256"] != _digests(dataset.images)
    table["out_of_order"] = _out_of_order(table)
    flat = dataset.images.reshape(len(table), -1)
    table["constant"] = flat.min(1) == flat.max(1)
    table["near_constant"] = (table["contrast"] < policy.near_constant_contrast) & ~table["constant"]
    groups = table.groupby("exact_group")
    size, labels = groups["id"].transform("size"), groups["label"].transform("nunique")
    table["extra_copy"] = table["exact_group"].duplicated()
    table["conflicting"] = (labels > 1).astype(object).where(size > 1, None)
    _leaks(table)
    return table


def _out_of_order(table: pd.DataFrame) -> "pd.Series[bool]":
    """Rows that stand below one they belong above: a column of a finished manifest was moved against the others."""
    label, digest = table["label"], table["sha256"]
    same_split, same_label = table["split"] == table["split"].shift(), label == label.shift()
    return same_split & ((label < label.shift()) | (same_label & (digest < digest.shift().fillna(""))))


def _leaks(table: pd.DataFrame) -> None:
    """Flags of test images that stand, or nearly stand, in another split; None for the others."""
    training, test = table["split"] == TRAINING, table["split"].isin(TEST_SPLITS)
    exact = table["exact_group"].isin(table.loc[training, "exact_group"])
    near = table["near_group"].isin(table.loc[training, "near_group"])
    homes = table[test].groupby("exact_group")["split"].nunique()
    across = table["exact_group"].map(homes) > 1
    for name, flag in (("leaked", exact), ("near_leaked", near & ~exact), ("across_tests", across)):
        table[name] = flag.astype(object).where(test, None)


def _classes(images: pd.DataFrame, splits: tuple[str, ...]) -> pd.DataFrame:
    """One row a required split and class, whether there are images or not."""
    table = pd.crosstab(images["split"], images["class"]).reindex(
        index=[TRAINING, *splits], columns=CLASSES, fill_value=0
    )
    counts = table.to_numpy(np.int64)  # [1 + splits, classes], Training first
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return pd.DataFrame(
        {
            "id": [f"{split}/{name}" for split in splits for name in CLASSES],
            "images": counts[1:].ravel(),
            "share": shares[1:].ravel(),
            "gap": np.abs(shares[1:] - shares[0]).ravel(),
        }
    )


def _digests(images: npt.NDArray[np.uint8]) -> list[str]:
    """sha256 of each image's pixels, hex."""
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
