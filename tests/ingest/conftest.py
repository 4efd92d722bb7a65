"""A few drawn faces, and how to lay them down in every form a source may have."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from components.ingest import IngestOptions, ingest
from components.ingest.synthetic import generate, parse_options
from components.labels import CLASSES, SPLITS, TRAINING

NAME = "synthetic:images=140,seed=3"


@dataclass(frozen=True)
class Faces:
    """Images uint8 [N, 48, 48] with label and split."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    splits: npt.NDArray[np.str_]

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> "Faces":
        return Faces(self.images[rows], self.labels[rows], self.splits[rows])

    def rows(self) -> list[list[str]]:
        """Cells of fer2013.csv: emotion, pixels, Usage."""
        texts = [" ".join(map(str, image.ravel())) for image in self.images]
        return [list(row) for row in zip(map(str, self.labels), texts, self.splits, strict=True)]

    def csv(self, path: Path) -> Path:
        return write_rows(path, self.rows())

    def folder(self, path: Path) -> Path:
        """<split>/<class>/<number>.png"""
        for i, (label, split) in enumerate(zip(self.labels, self.splits, strict=True)):
            save(path / split / CLASSES[label] / f"{i}.png", self.images[i])
        return path

    def kaggle(self, path: Path) -> Path:
        """train/<class>/Training_<id>.png, test/<class>/PublicTest_<id>.png, lossless."""
        for i, (label, split) in enumerate(zip(self.labels, self.splits, strict=True)):
            folder = "train" if split == TRAINING else "test"
            save(path / folder / CLASSES[label] / f"{split}_{10**7 + 97 * i}.png", self.images[i])
        return path


def save(path: Path, image: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def write_rows(path: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = ("emotion", "pixels", "Usage")):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    return path


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """Write cells as a CSV with a given header."""
    return write_rows


@pytest.fixture(scope="session")
def drawn() -> Faces:
    """140 faces, every class in every split."""
    return Faces(*generate(parse_options(NAME)))


@pytest.fixture(scope="session")
def few(drawn: Faces) -> Faces:
    """Three of each split."""
    return drawn.take(np.concatenate([np.flatnonzero(drawn.splits == split)[:3] for split in SPLITS]))


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fingerprint of `drawn`, from the synthetic source itself."""
    return ingest(NAME, tmp_path_factory.mktemp("known"), IngestOptions()).info.fingerprint
