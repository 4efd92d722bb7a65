"""What crosses the boundary of drift: a reference, a window of the log, and what was found in it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.drift.policy import Severity
from components.errors import DataError
from components.evaluation.labelled import Quality
from components.evaluation.records import Interval

SCHEMA_VERSION = 1

Kind = Literal["covariate", "prediction", "label", "quality"]
Floats = npt.NDArray[np.float32]

COLUMNS = ("brightness", "contrast", "sharpness", "answer", "confidence", "uncertain")
"""What both sides have of each face: image statistics, index into CLASSES, highest probability, below the threshold."""


@dataclass(frozen=True, eq=False)
class Reference:
    """What the model answered to images it has not learned from."""

    table: pd.DataFrame
    """R rows with COLUMNS and `label`."""
    embedding: Floats | None
    """float32 [R, D]; None for a model without one."""


@dataclass(frozen=True)
class Finding:
    """One check."""

    check: str
    kind: Kind
    statistic: str
    """What `value` is, in words."""
    value: float
    threshold: float
    """Drift from here on: the larger of the policy's effect and what chance does in a window of this size."""
    severity: Severity
    drifted: bool
    rows: int
    """Rows of the window that it rests on."""
    detail: str


@dataclass(frozen=True)
class WindowQuality(Quality):
    """Quality, and how far its probabilities may be trusted."""

    confidence: float
    """Mean."""
    ece: float


@dataclass(frozen=True)
class Estimate:
    """What accuracy and macro-F1 would be if the probabilities were right: no measurement. Under drift they often are
    not, and the estimate is then too high."""

    rows: int
    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class Slice:
    """The predictions with one client-given tag."""

    tag: str
    rows: int
    confidence: float
    uncertain: float
    findings: tuple[Finding, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Checks that say drift."""
        return tuple(finding.check for finding in self.findings if finding.drifted)


@dataclass(frozen=True)
class DriftReport:
    """What one run of the monitor found."""

    version: str
    window: str
    """Name of the window."""
    since: str
    until: str
    rows: int
    drawn: int
    findings: tuple[Finding, ...]
    means: Mapping[str, float]
    """Means of the window: image statistics, confidence, uncertain share, share of every class."""
    reference_means: Mapping[str, float]
    estimate: Estimate
    quality: WindowQuality | None
    """None where too few labels came."""
    slices: tuple[Slice, ...]
    policy: Mapping[str, Any]
    schema_version: int = SCHEMA_VERSION

    @property
    def alarms(self) -> tuple[str, ...]:
        """Checks of severity `alarm` that say drift."""
        return tuple(f.check for f in self.findings if f.drifted and f.severity == "alarm")

    @property
    def drifted(self) -> bool:
        """Whether this window counts towards an alarm."""
        return bool(self.alarms)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of drift that were found, of whatever severity."""
        return tuple(dict.fromkeys(f.kind for f in self.findings if f.drifted))

    @property
    def share(self) -> float:
        """Share of the checks that say drift."""
        return sum(f.drifted for f in self.findings) / max(1, len(self.findings))

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "DriftReport":
        """Parse a report; raises DataError for another version's."""
        raw: dict[str, Any] = json.loads(text)
        if raw.get("schema_version") != SCHEMA_VERSION:
            raise DataError(f"drift report of schema_version {raw.get('schema_version')!r}; read is {SCHEMA_VERSION}.")
        raw["findings"] = _findings(raw["findings"])
        raw["slices"] = tuple(Slice(**{**each, "findings": _findings(each["findings"])}) for each in raw["slices"])
        raw["estimate"] = Estimate(**raw["estimate"])
        if raw["quality"]:
            ends = {name: Interval(**raw["quality"][name]) for name in ("accuracy_interval", "macro_f1_interval")}
            raw["quality"] = WindowQuality(**{**raw["quality"], **ends})
        return cls(**raw)


def _findings(raw: list[dict[str, Any]]) -> tuple[Finding, ...]:
    return tuple(Finding(**each) for each in raw)
