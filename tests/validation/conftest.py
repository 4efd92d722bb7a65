"""Datasets with known faults, and one report that most tests read."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from components.dataset import Dataset, Origin, open_dataset, write_dataset
from components.labels import PRIVATE_TEST, PUBLIC_TEST, TRAINING
from components.validation import ValidationPolicy, ValidationReport, validate


@dataclass(frozen=True)
class Faces:
    """Images uint8 [N, 48, 48] with label and split, in the order of a source."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    splits: npt.NDArray[np.str_]


def patterned(n: int, seed: int) -> Faces:
    """A pattern a class, under noise: labels that can be told from pixels, as in faces."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, n)
    blocks = np.kron(rng.normal(0, 12, (7, 6, 6)), np.ones((8, 8)))  # [7, 48, 48]
    images = np.clip(128 + blocks[labels] + rng.normal(0, 40, (n, 48, 48)), 0, 255).astype(np.uint8)
    splits = rng.choice([TRAINING, PUBLIC_TEST, PRIVATE_TEST], n, p=[0.6, 0.2, 0.2])
    return Faces(images, labels, splits)


def faulty() -> Faces:
    """900 images: two constant, three leaked, two near-leaked, one copy in Training with another label."""
    faces = patterned(900, seed=1)
    images, labels = faces.images.copy(), faces.labels.copy()
    training, public, private = (np.flatnonzero(faces.splits == s) for s in (TRAINING, PUBLIC_TEST, PRIVATE_TEST))
    images[training[0]], images[private[0]] = 0, 255
    images[public[:2]], labels[public[:2]] = images[training[1:3]], labels[training[1:3]]
    images[private[1]], labels[private[1]] = images[training[3]], labels[training[3]]
    images[public[2:4]] = images[training[4:6]] ^ 1
    labels[public[2:4]] = labels[training[4:6]]
    images[training[7]], labels[training[7]] = images[training[6]], (labels[training[6]] + 1) % 7
    return Faces(images, labels, faces.splits)


def written(folder: Path, faces: Faces) -> Dataset:
    """A version in canonical order; images that differ by their lowest bits alone are near-duplicates."""
    table = pd.DataFrame({"split": faces.splits, "label": faces.labels, "row": range(len(faces.labels))})
    table["sha256"] = [hashlib.sha256(image.tobytes()).hexdigest() for image in faces.images]
    table = table.sort_values(["split", "label", "sha256"]).reset_index(drop=True)
    images = faces.images[table["row"]]
    copies = table.groupby("sha256").cumcount()
    table["id"] = table["sha256"].str[:16] + np.where(copies > 0, "-" + copies.astype(str), "")
    table["exact_group"] = pd.factorize(table["sha256"])[0]
    table["near_group"] = pd.factorize(np.array([(image >> 1).tobytes() for image in images], dtype=object))[0]
    flat = images.reshape(len(images), -1)
    table["brightness"], table["contrast"] = flat.mean(1), flat.std(1)
    table = table.assign(phash=0, sharpness=1.0, source=table["row"].astype(str))
    write_dataset(folder, images, table, Origin("folder", "patterned"))
    return open_dataset(folder)


@pytest.fixture(scope="session")
def write() -> Callable[[Path, Faces], Dataset]:
    return written


@pytest.fixture(scope="session")
def faces() -> Faces:
    return faulty()


@pytest.fixture(scope="session")
def clean() -> Faces:
    """700 images without a fault, and without a copy."""
    return patterned(700, seed=2)


@pytest.fixture(scope="session")
def policy() -> ValidationPolicy:
    """The default, with limits on numbers of images brought down to the size of these datasets."""
    return ValidationPolicy(
        few_class_images=15, conflicts_min_groups=3, label_signal_min_training=300, label_signal_min_images=100
    )


@pytest.fixture(scope="session")
def faulty_dataset(tmp_path_factory: pytest.TempPathFactory, faces: Faces) -> Dataset:
    return written(tmp_path_factory.mktemp("faulty") / "dataset", faces)


@pytest.fixture(scope="session")
def validated(
    faulty_dataset: Dataset, policy: ValidationPolicy, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ValidationReport, Path]:
    """Report on the faulty dataset, and its folder."""
    out = tmp_path_factory.mktemp("validated")
    loose = policy.model_copy(update={"conflicts": policy.conflicts.model_copy(update={"blocking": 0.5})})
    return validate(faulty_dataset, loose, out, last_accepted=faulty_dataset.info), out
