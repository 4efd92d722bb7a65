"""The gate's decision: an artifact that promotion takes as its only input."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from components.errors import GateError

SCHEMA_VERSION = 1
Verdict = Literal["promote", "reject"]


@dataclass(frozen=True)
class Candidate:
    """A model that was judged, by its files."""

    name: str
    model_sha256: str
    """sha256 of model.onnx."""
    version: str | None
    """Registered version, where it had one."""
    evaluation_sha256: str
    """sha256 of evaluation.json."""


@dataclass(frozen=True)
class RuleVerdict:
    """One rule held against one figure."""

    rule: str
    figure: float
    threshold: float
    passed: bool
    detail: str
    """One sentence in words."""


RELATIVE = ("gain over champion", "no likely loss", "no loss on new data")
"""Rules that hold a challenger against the champion; all others are absolute."""


@dataclass(frozen=True)
class Decision:
    """Challenger against champion on the same frozen test images."""

    decided_at: str
    """ISO 8601, UTC."""
    verdict: Verdict
    challenger: Candidate
    champion: Candidate | None
    """None for the first model: absolute rules alone."""
    dataset_fingerprint: str
    split: str
    test_digest: str
    n: int
    policy: Mapping[str, Any]
    """The policy in force, as recorded."""
    rules: tuple[RuleVerdict, ...]
    schema_version: int = SCHEMA_VERSION

    def where_none_is_champion(self) -> "Decision":
        """The same for a registry without a champion: the absolute rules alone, which every challenger must pass."""
        absolute = tuple(rule for rule in self.rules if rule.rule not in RELATIVE)
        return replace(self, champion=None, rules=absolute)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Decision":
        """Parse a decision.

        Raises GateError on a damaged one, a version this code does not know or a verdict its rules do not bear.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            version = raw.get("schema_version")
        except (ValueError, AttributeError) as error:
            raise GateError(f"decision is no JSON record: {error}. Run the gate again.") from error
        if version != SCHEMA_VERSION:
            raise GateError(f"decision has schema_version {version!r}; this ferline reads {SCHEMA_VERSION}.")
        try:
            decision = cls._from_raw(raw)
        except (KeyError, TypeError) as error:
            raise GateError(f"decision lacks or adds a field: {error}. Run the gate again.") from error
        if not decision.rules or (decision.verdict == "promote") != all(rule.passed for rule in decision.rules):
            raise GateError(f"decision says {decision.verdict!r}, but its rules say otherwise; run the gate again.")
        return decision

    @classmethod
    def _from_raw(cls, raw: dict[str, Any]) -> "Decision":
        parsed = {
            "challenger": Candidate(**raw["challenger"]),
            "champion": Candidate(**raw["champion"]) if raw["champion"] else None,
            "rules": tuple(RuleVerdict(**rule) for rule in raw["rules"]),
        }
        return cls(**{**raw, **parsed})
