"""Figures of one model on one split: evaluation.json."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from components.errors import DataError

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval, both ends included; 95 % wherever a record holds one."""

    low: float
    high: float


@dataclass(frozen=True)
class ClassFigures:
    """One class; shares 0 to 1, 0 where a class is never predicted or never there."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    """Test images of this class."""


@dataclass(frozen=True)
class Figures:
    """All classes together; shares 0 to 1."""

    n: int
    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    """Mean F1 of the classes that occur in the images."""
    macro_f1_interval: Interval
    weighted_f1: float
    nll: float
    """Test loss, the same for every model: mean negative log of the calibrated probability of the true class, nats."""


@dataclass(frozen=True)
class SliceFigures:
    """Figures on a part of the test images."""

    name: str
    figures: Figures


@dataclass(frozen=True)
class BehaviourFigures:
    """How often an answer survives a change that should not matter."""

    name: str
    kept_share: float
    """Share of the n images whose class stays as it was."""
    n: int


@dataclass(frozen=True)
class Evaluation:
    """One model on one split of one dataset version."""

    model: str
    split: str
    test_digest: str
    """sha256 over (id, label) of the test images in order: two evaluations compare only where it is equal."""
    dataset_fingerprint: str
    figures: Figures
    without_twins: Figures | None
    """On test images with no identical or near-identical image in Training; None where all have one."""
    twins: int
    """Test images with a twin in Training."""
    per_class: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Images by true class (row) and predicted class (column)."""
    ece: float
    """Expected calibration error of the calibrated probabilities, 15 bins of equal width (Guo et al. 2017)."""
    ece_uncalibrated: float
    temperature: float
    slices: tuple[SliceFigures, ...]
    behaviour: tuple[BehaviourFigures, ...]
    latency_ms: float
    """Median time for one image in ONNX Runtime on this machine's CPU."""
    images_per_second: float
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Evaluation":
        """Parse evaluation.json; raises DataError on a damaged one or a version this code does not know."""
        try:
            raw: dict[str, Any] = json.loads(text)
            version = raw.get("schema_version")
        except (ValueError, AttributeError) as error:
            raise DataError(f"evaluation.json is no JSON record: {error}. Evaluate the model again.") from error
        if version != SCHEMA_VERSION:
            raise DataError(
                f"evaluation.json has schema_version {version!r}; this ferline reads {SCHEMA_VERSION}. "
                "Evaluate the model again."
            )
        try:
            return cls._from_raw(raw)
        except (KeyError, TypeError) as error:
            raise DataError(f"evaluation.json lacks or adds a field: {error}. Evaluate the model again.") from error

    @classmethod
    def _from_raw(cls, raw: dict[str, Any]) -> "Evaluation":
        parsed = {
            "figures": _figures(raw["figures"]),
            "without_twins": _figures(raw["without_twins"]) if raw["without_twins"] else None,
            "per_class": tuple(ClassFigures(**item) for item in raw["per_class"]),
            "confusion": tuple(tuple(row) for row in raw["confusion"]),
            "slices": tuple(SliceFigures(item["name"], _figures(item["figures"])) for item in raw["slices"]),
            "behaviour": tuple(BehaviourFigures(**item) for item in raw["behaviour"]),
        }
        return cls(**{**raw, **parsed})


def _figures(raw: dict[str, Any]) -> Figures:
    intervals = {name: Interval(**raw[name]) for name in ("accuracy_interval", "macro_f1_interval")}
    return Figures(**{**raw, **intervals})
