"""What crosses the registry's boundary: versions, ledger entries, and the package that gets registered."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from components.errors import RegistryError
from components.labels import CLASSES

SCHEMA_VERSION = 1
PACKAGE_VERSION = 2
"""1 did not say when a model is uncertain: read as never."""

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
"""Aliases: what is served, what stands before the gate, what `rollback` goes back to."""

Action = Literal["register", "reject", "promote", "rollback", "open"]
"""`open` records that PrivateTest was opened for a version; the others are steps in a version's life."""

Status = Literal["registered", "rejected", "champion", "retired", "rolled-back"]
RunStatus = Literal["FINISHED", "FAILED", "KILLED"]


def utc_now() -> str:
    """ISO 8601 with microseconds, UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True)
class ModelVersion:
    """One registered model."""

    name: str
    version: str
    """Decimal number, counted by the registry."""
    aliases: tuple[str, ...]
    source_run: str | None
    """Id of the tracking run that trained it."""
    created_at: str
    """ISO 8601, UTC."""
    model_sha256: str
    """sha256 of model.onnx; empty for a version that ferline did not register."""
    status: str
    """One of Status, as the ledger has it; empty before the first entry."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    """Everything else: preset, dataset fingerprint, decision."""

    @property
    def dataset(self) -> str:
        """Name of the dataset version it learned from; empty for a version that ferline did not register."""
        return self.tags.get("ferline.fingerprint", "")[:16]


@dataclass(frozen=True)
class LedgerEntry:
    """One line of the append-only history of a model."""

    at: str
    """ISO 8601, UTC."""
    who: str
    action: Action
    model: str
    from_version: str | None
    """Champion before it; None where there was none or the action moves nothing."""
    to_version: str
    """Champion after it, or the version that was registered, rejected or opened."""
    model_sha256: str
    """sha256 of `to_version`'s model.onnx: tells versions apart when a registry was made anew."""
    reason: str = ""
    decision_uri: str | None = None
    forced: bool = False
    """Promoted or rolled back by a person against, or without, a decision."""
    number: int = 0
    """Place in the ledger, from 1; given when it is appended."""
    schema_version: int = SCHEMA_VERSION

    @property
    def moves_champion(self) -> bool:
        return self.action in ("promote", "rollback")

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "LedgerEntry":
        """Parse an entry; raises RegistryError on a version this code does not know, or a broken one."""
        try:
            raw: dict[str, Any] = json.loads(text)
            if raw["schema_version"] != SCHEMA_VERSION or raw["action"] not in get_args(Action):
                raise RegistryError(
                    f"ledger entry with schema_version {raw['schema_version']!r} and action {raw['action']!r}: "
                    f"this ferline reads {SCHEMA_VERSION} and {', '.join(get_args(Action))}. "
                    "Read it with the ferline that wrote it."
                )
            return cls(**raw)
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryError(f"not a ledger entry ({error!r}): {text[:80]!r}") from error


@dataclass(frozen=True)
class ModelPackage:
    """Everything that is registered for one model: files on this machine, and what they say in short."""

    preset: str
    model: Path
    """model.onnx: images uint8 [B, H, W] -> probabilities, embedding, and rollout where the model attends."""
    weights: Path
    """model.safetensors, for further training."""
    recipe: Path
    """recipe.json."""
    summary: Path
    """summary.json of the training run."""
    examples: Path
    """examples.npz: images uint8 [8, H, W] and the probabilities the model must answer."""
    reference: Path
    """reference.parquet: what drift is measured against."""
    evaluation: Path
    """evaluation.json."""
    card: Path
    """model_card.md."""
    fingerprint: str
    """Of the dataset version it was trained on."""
    temperature: float
    """Already inside model.onnx."""
    metrics: Mapping[str, float]
    uncertain_below: float
    """Confidence below which the answers to validation images were wrong more often than right; 0 to 1."""
    decision: Path | None = None
    """Decision file, where the gate has already spoken."""
    classes: tuple[str, ...] = CLASSES

    @property
    def extra_files(self) -> dict[str, Path]:
        """Registered name -> local file, model.onnx apart."""
        files = {
            "model.safetensors": self.weights,
            "recipe.json": self.recipe,
            "summary.json": self.summary,
            "examples.npz": self.examples,
            "reference.parquet": self.reference,
            "evaluation.json": self.evaluation,
            "model_card.md": self.card,
        }
        return files | ({"decision.json": self.decision} if self.decision else {})

    def describe(self, model_sha256: str) -> str:
        """package.json: what a service needs to know before it loads anything."""
        facts = {
            "schema_version": PACKAGE_VERSION,
            "preset": self.preset,
            "model_sha256": model_sha256,
            "classes": list(self.classes),
            "fingerprint": self.fingerprint,
            "temperature": self.temperature,
            "metrics": dict(self.metrics),
            "uncertain_below": self.uncertain_below,
        }
        return json.dumps(facts, indent=2, sort_keys=True)


def read_package(folder: Path) -> dict[str, Any]:
    """package.json of a registered artifact's folder, in the newest form; raises RegistryError."""
    return read_facts(folder / "extra_files" / "package.json")


def read_facts(path: Path) -> dict[str, Any]:
    """A package.json wherever it lies."""
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
        version = facts["schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"{path} cannot be read ({error}): register the model again.") from error
    if version not in (1, PACKAGE_VERSION):
        raise RegistryError(f"{path} has schema_version {version!r}; this ferline reads 1 and {PACKAGE_VERSION}.")
    return {"uncertain_below": 0.0, **facts, "schema_version": PACKAGE_VERSION}


@dataclass(frozen=True)
class CheckResult:
    """What a model answered in a process of its own."""

    images: int
    max_difference: float
    """Largest absolute difference of a probability from the stored one."""
    outputs: tuple[str, ...]
    seconds: float
    """Loading and answering, without the process's own start."""
    model_sha256: str
