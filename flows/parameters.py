"""What a person fills in to start a flow; Prefect draws its form from these lines."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from components.errors import RecipeError

_FORM: dict[str, Any] = {"use_attribute_docstrings": True, "extra": "forbid"}


@dataclass(frozen=True)
class DataParameters:
    """Where the faces come from."""

    __pydantic_config__: ClassVar[Any] = _FORM

    source: str = "synthetic"
    """`synthetic` (or `synthetic:images=5000,seed=1`), a CSV, an image folder, the archive of one, or the URI of a
    dataset version."""
    skip_bad: bool = False
    """Leave out rows and files that cannot be read, and record them, instead of stopping."""
    held_out: float = 0.2
    """Share held out for testing where the source names no splits."""
    image_size: int = 48
    """Side in pixels of the stored faces."""


@dataclass(frozen=True)
class TrainingParameters:
    """What is trained."""

    __pydantic_config__: ClassVar[Any] = _FORM

    presets: tuple[str, ...] = ("quick", "quick-resnet18", "quick-vgg16")
    """Presets to train and compare; `ferline presets` lists them."""
    overrides: tuple[str, ...] = ()
    """Recipe overrides for all of them, such as `epochs=3` or `optimizer.lr=0.001`."""
    tiny: bool = False
    """Shrink every recipe to seconds, to try the pipeline out."""
    side_by_side: bool = False
    """Train the models at the same time instead of one after another; wants a device each."""
    backend: Literal["local", "ray"] = "local"
    """Where each model is trained: on the worker's machine, or on the Ray cluster of FERLINE_RAY_ADDRESS."""
    workers: int = 1
    """`ray`: processes that train one model, a GPU each where the cluster has them."""
    from_runs: tuple[str, ...] = ()
    """Folders of finished runs, from a machine that only trains: they are judged beside what is trained here."""

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= 4096:
            raise RecipeError(f"training.workers is {self.workers}; it must lie between 1 and 4096.")


@dataclass(frozen=True)
class PromotionParameters:
    """What happens to the best model."""

    __pydantic_config__: ClassVar[Any] = _FORM

    promote: bool = True
    """Let a passing challenger become champion; otherwise it is registered and waits for `ferline models promote`."""
    new_data: str = ""
    """URI of a dataset version of new labelled images, on which a challenger must not lose against the champion either:
    what a retraining held back."""


@dataclass(frozen=True)
class WindowParameters:
    """Which predictions are looked at. Left alone: everything since the last window ended."""

    __pydantic_config__: ClassVar[Any] = _FORM

    since: str = ""
    """Begin, ISO 8601 such as 2026-11-25T00:00+00:00; empty: where the last window ended."""
    until: str = ""
    """End, the same, not included; empty: now."""
    last: int = 0
    """Only the newest so many predictions of that time; 0 for all."""


@dataclass(frozen=True)
class RetrainParameters:
    """Why, and how carefully."""

    __pydantic_config__: ClassVar[Any] = _FORM

    reason: str = "by hand"
    """Goes on record: `by hand`, `schedule`, or what an alarm said."""
    report: str = ""
    """URI of the drift report that asked for it."""
    at_once: bool = False
    """Do not ask for the cool-down and the daily cap."""
    promote: bool = True
    """Let a passing challenger become champion; otherwise it is registered and waits."""
