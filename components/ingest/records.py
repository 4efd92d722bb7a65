"""What an ingest is told, what readers hand over, and what comes out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.dataset import DatasetInfo
from components.errors import DataError

Report = Callable[[str, int, int], None]
"""Called with a stage's name, how much of it is done, and how much there is."""


def tell_nobody(stage: str, done: int, total: int) -> None:
    """A report that is not wanted."""


NAMED = 5
"""Bad rows or files that an error names; the rest is counted."""


@dataclass(frozen=True)
class IngestOptions:
    """How a source is read."""

    skip_bad: bool = False
    """Leave out what cannot be read, and record it, instead of stopping."""
    held_out: float | None = None
    """Share held out for testing where the source names no test split; None: 0.2 where it names no splits at all."""
    size: int = 48
    """Side in pixels of the stored faces."""

    def __post_init__(self) -> None:
        if self.held_out is not None and not 0 < self.held_out < 1:
            raise DataError(f"held-out share is {self.held_out}; it must lie between 0 and 1.")
        if not 16 <= self.size <= 1024:
            raise DataError(f"image size is {self.size}; it must lie between 16 and 1024.")


@dataclass(frozen=True)
class Faces:
    """What a reader hands over, rows in the source's order."""

    images: npt.NDArray[np.uint8]
    """uint8 [N, S, S]; a reader's are memory-mapped, so that they need not fit into memory."""
    labels: npt.NDArray[np.int64]
    splits: npt.NDArray[np.str_]
    """Names of SPLITS; names.TEST for a test split not yet told apart; names.UNSPLIT where the source names none."""
    sources: list[str]
    """File or row each image was read from."""
    bad: list[str] = field(default_factory=list)
    """What could not be read: place and reason."""


@dataclass(frozen=True)
class Ingested:
    """A finished local dataset version."""

    folder: Path
    info: DatasetInfo


def refuse_bad(bad: list[str], what: str, skip: bool) -> None:
    """One error that names the first few and counts the rest; nothing where `skip` is on or nothing is bad."""
    if not bad or skip:
        return
    rest = f"\n  ... and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    listed = "\n  ".join(bad[:NAMED])
    raise DataError(f"{what}: {len(bad)} bad.\n  {listed}{rest}\nMend the source, or leave them out with --skip-bad.")
