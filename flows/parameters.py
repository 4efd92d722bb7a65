"""What a person fills in to start a flow; Prefect draws its form from these lines."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from components.errors import RecipeError
from components.search.records import PAPER

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
    """Train the models at the same time instead of one after another; wants a device, or cores and memory, each."""
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


@dataclass(frozen=True)
class ComparisonParameters:
    """What is compared. Left alone: the paper's four ViT regimes and its two CNNs, from scratch at 48 pixels."""

    __pydantic_config__: ClassVar[Any] = _FORM

    presets: tuple[str, ...] = (
        "vit-baseline-48", "vit-partial-48", "vit-full-48", "vit-warmup-48", "resnet18-48", "vgg16-48",
    )  # fmt: skip
    """Presets to train and compare; `ferline presets` lists them."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each model is trained once under each."""
    overrides: tuple[str, ...] = ()
    """Recipe overrides for all of them, such as `epochs=3` or `optimizer.lr=0.001`; the seed is not among them."""
    tiny: bool = False
    """Shrink every recipe to seconds, to try the comparison out."""
    same_data: bool = True
    """Every model of a seed learns from the same balanced sample, by the first preset's `data` and `balance`; without
    it each by its own."""

    def __post_init__(self) -> None:
        for name, values in (("presets", self.presets), ("seeds", self.seeds)):
            if not values or len(set(values)) < len(values):
                given = ", ".join(map(str, values)) or "nothing"
                raise RecipeError(f"comparison.{name} is {given}; name at least one, and none twice.")
        if any(text.partition("=")[0].strip() == "seed" for text in self.overrides):
            raise RecipeError("comparison.overrides sets a seed for all; name the seeds in comparison.seeds.")


@dataclass(frozen=True)
class SearchParameters:
    """What is searched, and for how long."""

    __pydantic_config__: ClassVar[Any] = _FORM

    preset: str = "quick"
    """Where the search starts; what the space does not name stays as this preset has it."""
    space: tuple[str, ...] = PAPER
    """Dimensions: `optimizer.lr=3e-5..0.01:log`, `batch_size=32|64`; any recipe key. The paper's ranges by default."""
    trials: int = 20
    """Trials, pruned ones included; a search that had fewer goes on."""
    overrides: tuple[str, ...] = ()
    """Recipe overrides for all trials, such as `epochs=8`."""
    tiny: bool = False
    """Shrink every recipe to seconds."""
    prune: bool = True
    """Stop trials that do worse than half of the others at the same epoch."""
    seed: int = 0
    """Of the choices; each trial trains with the recipe's own."""
    backend: Literal["local", "ray"] = "local"
    """One trial after another here, or side by side with Ray Tune on the cluster of FERLINE_RAY_ADDRESS."""
    workers: int = 2
    """`ray`: trials at the same time."""

    def __post_init__(self) -> None:
        for name in ("trials", "workers"):
            if not 1 <= getattr(self, name) <= 100_000:
                raise RecipeError(f"search.{name} is {getattr(self, name)}; it must lie between 1 and 100,000.")
        if not 0 <= self.seed < 2**31:  # Optuna's end at 2**32, and a search that goes on adds its trials
            raise RecipeError(f"search.seed is {self.seed}; it must lie between 0 and 2**31 - 1.")


@dataclass(frozen=True)
class BatchParameters:
    """What is scored, and where."""

    __pydantic_config__: ClassVar[Any] = _FORM

    source: str
    """Folder of pictures, or s3://bucket/prefix on the server of the settings."""
    out: str
    """Folder or S3 prefix for the Parquet files; one that was begun with the same pictures goes on."""
    version: str = "champion"
    """Number or alias of the version that answers."""
    face: str = "auto"
    """How a face is looked for: auto, none or largest."""
    explain: bool = False
    """With the rollout map of every face."""
    tag: str = ""
    """Goes into every row."""
    backend: Literal["local", "ray"] = "local"
    """In one process, or by workers of the Ray cluster of FERLINE_RAY_ADDRESS."""
    workers: int = 2
    """`ray`: processes, a core each."""

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= 4096:
            raise RecipeError(f"batch.workers is {self.workers}; it must lie between 1 and 4096.")
