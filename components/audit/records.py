"""What an audit of labels found: audit.json."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Pair:
    """Images of one class that the model would rather call another."""

    given: str
    suggested: str
    images: int


@dataclass(frozen=True)
class AuditReport:
    """An audit of the Training split; the images themselves are listed in exclude.csv."""

    fingerprint: str
    """Of the dataset."""
    preset: str
    recipe_sha256: str
    folds: int
    images: int
    """Training images that were judged, each by a model that had not seen it or a near-duplicate of it."""
    found: int
    """How many of them are likely mislabelled."""
    accuracy: float
    """Share of images whose out-of-fold answer is their label."""
    by_class: dict[str, int]
    """Class -> likely mislabelled images that carry it."""
    pairs: tuple[Pair, ...]
    """Most frequent first."""
    seconds: float
    """All trainings together, those taken from an earlier, interrupted audit included."""
    schema_version: int = 1

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "AuditReport":
        raw = json.loads(text)
        return cls(**{**raw, "pairs": tuple(Pair(**pair) for pair in raw["pairs"])})
