"""What validation found: one record a check, one report a dataset version (report.json)."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from components.errors import DataError

SCHEMA_VERSION = 1
SHOWN_IDS = 10
"""Offending ids that a finding lists; it counts them all."""

Severity = Literal["blocking", "warning"]


@dataclass(frozen=True)
class Finding:
    """One expectation and what the dataset answered."""

    expectation: str
    """Its name, such as `constant_images`."""
    check: str
    """The Great Expectations class that decided."""
    severity: Severity
    passed: bool
    detail: str
    """One sentence with what was seen and what is allowed."""
    observed: float | None
    """Share of offending rows, worst value, or divergence; None where there is no such number."""
    threshold: float | None
    """The limit that `observed` was held against, from the policy."""
    offending_ids: tuple[str, ...] = ()
    """The first few: image ids, `split/class` names, splits or columns."""
    offending_count: int = 0


@dataclass(frozen=True)
class ValidationReport:
    """Every finding on one dataset version, and its duplicates counted."""

    dataset_fingerprint: str
    passed: bool
    """No blocking expectation failed."""
    images: int
    findings: tuple[Finding, ...]
    extra_copies: int = 0
    """Images beyond the first of each group of identical pixels, over all splits."""
    conflicting_groups: int = 0
    """Groups of identical pixels, over all splits, with more than one label."""
    constant: int = 0
    """Images of a single gray level."""
    near_constant: int = 0
    """Images that are not constant, with a contrast below the policy's `near_constant_contrast`."""
    near_groups: int = 0
    """Groups of confirmed near-duplicates that hold at least two different images."""
    leaked: dict[str, int] = field(default_factory=dict)
    """Test split -> its images whose pixels also stand in Training."""
    near_leaked: dict[str, int] = field(default_factory=dict)
    """Test split -> its images with a near-duplicate, but no identical image, in Training."""
    label_signal: dict[str, float | None] = field(default_factory=dict)
    """Split -> how many standard errors its labels agree with its pixels above chance; None: too few images."""
    docs: str = ""
    """Data Docs' first page, relative to the report's folder."""
    twins: str = ""
    """Sheet of near-duplicate pairs, relative to the report's folder; empty where there are none."""
    policy: dict[str, Any] = field(default_factory=dict)
    """The policy in force, as recorded."""
    schema_version: int = SCHEMA_VERSION

    def failed(self, severity: Severity) -> tuple[Finding, ...]:
        """Findings of one severity that did not pass."""
        return tuple(f for f in self.findings if f.severity == severity and not f.passed)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "ValidationReport":
        """Parse report.json; raises DataError on a version this code does not know."""
        raw: dict[str, Any] = json.loads(text)
        if raw.get("schema_version") != SCHEMA_VERSION:
            raise DataError(
                f"validation report has schema_version {raw.get('schema_version')!r}; "
                f"this ferline reads {SCHEMA_VERSION}. Validate the dataset again."
            )
        findings = tuple(Finding(**{**f, "offending_ids": tuple(f["offending_ids"])}) for f in raw.pop("findings"))
        return cls(findings=findings, **raw)
