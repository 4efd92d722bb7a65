"""The gate's rules as data: section `gate` of a file a person edits, recorded with each decision."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.errors import RecipeError
from components.labels import CLASSES


class GatePolicy(BaseModel):
    """Absolute rules hold for every challenger, relative ones where there is a champion. Shares are 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    macro_f1_floor: float = Field(default=0.40, ge=0, le=1)
    """Macro-F1 that a challenger reaches at least."""
    recall_floor: float = Field(default=0.10, ge=0, le=1)
    """Recall of every class, unless `recall_floors` names the class."""
    recall_floors: dict[str, float] = Field(default_factory=dict)
    """Class -> its own recall floor."""
    ece_ceiling: float = Field(default=0.15, ge=0, le=1)
    """Largest expected calibration error after the temperature."""
    latency_ms_ceiling: float = Field(default=100.0, gt=0)
    """Largest median time for one image on this machine's CPU, milliseconds."""
    slice_gap: float = Field(default=0.25, ge=0, le=1)
    """Largest loss of accuracy on any slice against all test images."""
    behaviour_floors: dict[str, float] = Field(
        default_factory=lambda: {"flip": 0.6, "darker": 0.6, "brighter": 0.6, "rotation": 0.5, "jpeg": 0.6}
    )
    """Change -> share of images whose class it must leave as it was."""
    min_gain: float = 0.0
    """Macro-F1 by which a challenger must exceed the champion."""
    tolerated_loss: float = Field(default=0.03, ge=0, le=1)
    """The paired interval of the macro-F1 difference must not reach below minus this."""
    confidence: float = Field(default=0.90, gt=0, lt=1)
    """Level of that interval."""

    def floor_of(self, name: str) -> float:
        """Recall floor of a class."""
        return self.recall_floors.get(name, self.recall_floor)


def load_policy(path: Path | None = None) -> GatePolicy:
    """Section `gate` of a YAML file, the defaults without one; raises RecipeError naming the wrong key."""
    if path is None:
        return GatePolicy()
    try:
        raw = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"policy {path} cannot be read: {error}") from error
    if not isinstance(raw, dict) or "gate" not in raw:
        raise RecipeError(f"policy {path} has no section `gate`; infra/policy/gate.yaml shows one.")
    try:
        policy = GatePolicy.model_validate(raw["gate"])
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(map(str, wrong["loc"]))
        raise RecipeError(f"policy {path}: gate.{key}: {wrong['msg']}.") from error
    unknown = set(policy.recall_floors) - set(CLASSES)
    if unknown:
        raise RecipeError(
            f"policy {path}: gate.recall_floors names {sorted(unknown)[0]!r}; classes are {', '.join(CLASSES)}."
        )
    return policy
