"""What training leaves out and how it balances what stays: two recipes and their outcomes."""

import hashlib
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from components.errors import DataError
from components.ranges import one_of, within

Rows = npt.NDArray[np.int64]

_FORM: dict[str, Any] = {"use_attribute_docstrings": True, "extra": "forbid"}


@dataclass(frozen=True)
class DataRecipe:
    """Which images of the Training split a model learns from."""

    __pydantic_config__: ClassVar[Any] = _FORM

    leaked: Literal["remove", "keep"] = "remove"
    """Training images whose pixels also stand in a test split."""
    near_leaked: Literal["remove", "keep"] = "remove"
    """Training images with a near-duplicate, but no identical image, in a test split."""
    conflicts: Literal["remove", "keep"] = "remove"
    """Identical Training images that disagree about their label: every copy, or none, is left out."""
    copies: Literal["keep", "first"] = "keep"
    """Further copies of identical Training images: all stay, or the first alone."""
    exclude: str = ""
    """Images to leave out: the folder or URI of a `ferline data audit`, or a CSV file with a column `id`."""
    validation_share: float = 0.05
    """Share of each class set aside for early stopping and the temperature, near-duplicates kept together;
    0.01 to 0.5."""

    def __post_init__(self) -> None:
        one_of("data.leaked", self.leaked, "remove", "keep")
        one_of("data.near_leaked", self.near_leaked, "remove", "keep")
        one_of("data.conflicts", self.conflicts, "remove", "keep")
        one_of("data.copies", self.copies, "keep", "first")
        within("data.validation_share", self.validation_share, 0.01, 0.5)


@dataclass(frozen=True)
class BalanceRecipe:
    """How the classes are balanced; class weights for the loss make up for what then is left of the imbalance."""

    __pydantic_config__: ClassVar[Any] = _FORM

    method: Literal["none", "paper", "sampler"] = "none"
    """`paper` cuts large classes and repeats small ones; `sampler` draws small ones more often."""
    max_class_limit: float = 0.40
    """`paper`: no class keeps more images than this share of the largest one (paper 3.2: 0.35 to 0.60)."""
    oversample_factor: float = 2.0
    """`paper`: classes below that ceiling grow by this factor, up to the ceiling (paper 3.2: 1.5 to 3)."""
    sampler_power: float = 1.0
    """`sampler`: 1 draws every class equally often, 0.5 by square roots of counts (Mahajan et al. 2018); 0 to 1."""

    def __post_init__(self) -> None:
        one_of("balance.method", self.method, "none", "paper", "sampler")
        within("balance.max_class_limit", self.max_class_limit, 0.35, 0.60)
        within("balance.oversample_factor", self.oversample_factor, 1.5, 3)
        within("balance.sampler_power", self.sampler_power, 0, 1)


@dataclass(frozen=True)
class Selection:
    """Training images by what a DataRecipe does with them; the parts are disjoint."""

    kept: Rows
    """int64 [K], ascending rows of the dataset."""
    removed: dict[str, Rows]
    """Reason (`leaked`, `near_leaked`, `conflicts`, `copies`, `excluded`) -> ascending rows; the first that applies
    counts."""

    @property
    def counts(self) -> dict[str, int]:
        """Reason -> number of images, `kept` first."""
        return {"kept": len(self.kept), **{reason: len(rows) for reason, rows in self.removed.items()}}


@dataclass(frozen=True)
class Sample:
    """What one training draws from: sample.npz in a run folder."""

    train: Rows
    """int64 [M], rows of the dataset; repeats are copies made by balancing."""
    augmented: npt.NDArray[np.bool_]
    """bool [M], rows to be drawn through the stronger transforms: copies of `disgust`."""
    weights: npt.NDArray[np.float64]
    """float64 [M], sampling weights of mean 1; all ones unless the method is `sampler`."""
    validation: Rows
    """int64 [V], ascending rows of the dataset, none of them in `train`."""
    class_weights: npt.NDArray[np.float32]
    """float32 [7], inverse frequency of the classes as they are drawn, mean 1 over draws; 0 for an absent class."""

    @property
    def digest(self) -> str:
        """sha256 over all arrays, hex."""
        seen = hashlib.sha256()
        for name, dtype in _ARRAYS.items():
            array = np.ascontiguousarray(getattr(self, name), dtype)
            seen.update(f"{name} {dtype} {array.shape}\n".encode() + array.tobytes())
        return seen.hexdigest()

    def save(self, path: Path) -> None:
        """Write an .npz without pickles, whole or not at all; equal samples give equal bytes."""
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as stream:
            np.savez(stream, **{name: getattr(self, name).astype(dtype) for name, dtype in _ARRAYS.items()})
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: Path) -> "Sample":
        """Read what `save` wrote; raises DataError for a missing file or another content."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in _ARRAYS}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise DataError(f"{path} is no sample ({error}); delete it and balance the dataset again.") from error
        wrong = [name for name, dtype in _ARRAYS.items() if found[name].dtype != dtype]
        if wrong:
            raise DataError(f"{path}: {wrong[0]} is {found[wrong[0]].dtype}, not {_ARRAYS[wrong[0]]}; balance again.")
        return cls(**found)


_ARRAYS = dict(zip((f.name for f in fields(Sample)), ("int64", "bool", "float64", "int64", "float32"), strict=True))
