"""What validation findings do: tolerances a person edits, recorded with every report."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.labels import SPLITS
from components.policy import load_section


class Tolerance(BaseModel):
    """How much of something is let pass. Above `warning` it is shown, above `blocking` nothing is trained.

    A limit left empty switches that severity off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    warning: float | None = Field(default=None, ge=0)
    blocking: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> "Tolerance":
        if self.warning is not None and self.blocking is not None and self.warning > self.blocking:
            raise ValueError(f"warning is {self.warning} and blocking {self.blocking}; warning comes first")
        return self


class ValidationPolicy(BaseModel):
    """Section `validation` of the policy file. Shares are of the images named, 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    required_splits: tuple[str, ...] = SPLITS
    """Splits that must be there; blocking."""
    min_class_images: int = Field(default=1, ge=0)
    """Images that every class must have in every required split; blocking."""
    few_class_images: int = Field(default=50, ge=0)
    """A class with fewer in a split is shown: its figures will be unsteady."""
    max_class_share: float = Field(default=0.6, gt=0, le=1)
    """Largest share of a split that one class may hold; blocking."""
    min_class_share: float = Field(default=0.05, ge=0, le=1)
    """A class with a smaller share of a split is shown: it needs balancing."""
    class_share_gap: float = Field(default=0.05, ge=0, le=1)
    """A class whose share in a test split is further than this from Training's is shown."""
    near_constant_contrast: float = Field(default=8.0, ge=0)
    """An image whose gray levels have a smaller standard deviation counts as near-constant."""
    constant: Tolerance = Tolerance(warning=0, blocking=0.01)
    """Share of images of a single gray level."""
    near_constant: Tolerance = Tolerance(warning=0, blocking=0.02)
    """Share of images that are near-constant; constant ones are not counted again."""
    extra_copies: Tolerance = Tolerance(warning=0, blocking=0.5)
    """Share of images whose pixels stood in the dataset before."""
    conflicts: Tolerance = Tolerance(warning=0, blocking=0.25)
    """Among images with an identical copy, the share whose copies disagree about the label (FER-2013: 0.05; with
    labels shifted by a row: 0.84)."""
    conflicts_min_groups: int = Field(default=20, ge=1)
    """Groups of identical images below which `conflicts` never blocks: a few prove nothing."""
    leaked: Tolerance = Tolerance(warning=0, blocking=0.5)
    """Share of test images whose pixels also stand in Training."""
    near_leaked: Tolerance = Tolerance(warning=0, blocking=0.5)
    """Share of test images with a near-duplicate, but no identical image, in Training."""
    across_tests: Tolerance = Tolerance(warning=0, blocking=0.5)
    """Share of test images whose pixels also stand in another test split."""
    class_mix: Tolerance = Tolerance(warning=0.01, blocking=0.25)
    """Kullback-Leibler divergence of the class mix from that of the last accepted dataset."""
    label_signal: float = Field(default=4.0, ge=0)
    """Standard errors above chance by which a linear probe must recognise each split's labels; blocking (FER-2013:
    25 to 50; with labels shifted by a row: -2 to 2)."""
    label_signal_min_training: int = Field(default=4000, ge=14)
    """Training images below which the probe is not asked: it would learn too little to tell."""
    label_signal_min_images: int = Field(default=500, ge=1)
    """Images below which a split is not probed."""


def load_policy(path: Path | None = None) -> ValidationPolicy:
    """Section `validation` of a YAML file, the defaults without one; raises RecipeError naming file, key and fault."""
    return load_section(path, "validation", ValidationPolicy)
