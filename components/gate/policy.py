"""The gate's rules as data: section `gate` of a file a person edits, recorded with each decision."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from components.labels import CLASSES
from components.policy import load_section

Share = Annotated[float, Field(ge=0, le=1)]
STRICT = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class BehaviourFloors(BaseModel):
    """Share of test images whose class must stay as it was under a change that should not matter."""

    model_config = STRICT

    flip: Share = 0.60
    """Left and right exchanged."""
    light: Share = 0.60
    """20 % darker and 20 % brighter; the worse of the two counts."""
    rotation: Share = 0.50
    """5 degrees to either side; the worse of the two counts."""
    jpeg: Share = 0.60
    """Through a JPEG of quality 50."""


class ChampionRules(BaseModel):
    """Rules against the champion, on macro-F1 over the same test images. Both must hold."""

    model_config = STRICT

    min_gain: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """Macro-F1(challenger) - macro-F1(champion) is at least this."""
    tolerated_loss: Share = 0.03
    """The lower end of the paired bootstrap interval of that difference lies above minus this: were the test images
    drawn again, a loss larger than this would be unlikely."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.90
    """Level of that interval, both ends; 0.90 leaves 5 % below its lower end."""
    new_data_loss: Share = 0.0
    """Most macro-F1 that a retrained challenger may lose against the champion on the new labelled images that were held
    back from its training."""


class GatePolicy(BaseModel):
    """Absolute rules hold for every challenger, the first one too; those against the champion where there is one."""

    model_config = STRICT

    macro_f1_floor: Share = 0.40
    """Macro-F1 that a challenger reaches at least."""
    recall_floor: Share = 0.15
    """Recall of every class that the test images hold, unless `recall_floors` names the class."""
    recall_floors: dict[str, Share] = Field(default_factory=dict)
    """Class -> its own recall floor."""
    ece_ceiling: Share = 0.15
    """Largest expected calibration error, after the temperature."""
    latency_ms_ceiling: Annotated[float, Field(gt=0)] = 100.0
    """Largest median time for one image on the CPU that evaluated it, milliseconds."""
    slice_gap: Share = 0.10
    """How far below macro-F1 on all images even the upper end of a slice's 95 % interval may lie. Taking the upper end
    excuses a slice by its own uncertainty, so that one number serves 100 test images and 10,000."""
    behaviour: BehaviourFloors = BehaviourFloors()
    """Floors of the answers that stay under small changes."""
    champion: ChampionRules = ChampionRules()
    """What is asked where there is a champion."""

    @field_validator("recall_floors")
    @classmethod
    def _known(cls, floors: dict[str, float]) -> dict[str, float]:
        unknown = [name for name in floors if name not in CLASSES]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no class; classes are {', '.join(CLASSES)}")
        return floors

    def floor_of(self, name: str) -> float:
        """Recall floor of a class."""
        return self.recall_floors.get(name, self.recall_floor)


def load_policy(path: Path | None = None) -> GatePolicy:
    """Section `gate` of a YAML file, the defaults without one; raises RecipeError naming file, key and fault."""
    return load_section(path, "gate", GatePolicy)
