"""Recipes: everything that decides what a training does, in plain frozen dataclasses."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from components.balancing.records import BalanceRecipe, DataRecipe
from components.errors import RecipeError
from components.models.records import ModelRecipe

_FORM: dict[str, Any] = {"use_attribute_docstrings": True, "extra": "forbid"}


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise RecipeError(f"{name} is {value}; it must lie between {low} and {high}.")


def _one_of(name: str, value: str, *allowed: str) -> None:
    if value not in allowed:
        raise RecipeError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")


@dataclass(frozen=True)
class OptimizerRecipe:
    """Steps: AdamW (Loshchilov & Hutter 2019), Adam (Kingma & Ba 2015) or SGD."""

    __pydantic_config__: ClassVar[Any] = _FORM

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    """Rule of a step; all three are among those the paper tried (3.2)."""
    lr: float = 1e-5
    """Learning rate before warm-up's multiplier (paper 3.2: 1e-5)."""
    weight_decay: float = 1e-4
    """Weight decay, decoupled for `adamw`, added to the gradient for the others; norms and biases are spared
    (paper 3.2: 1e-4)."""
    momentum: float = 0.9
    """`sgd`: Nesterov momentum."""
    layer_decay: float = 1.0
    """Each stage learns at this factor of the rate of the one above it (Clark et al. 2020); 1 for none."""
    clip_norm: float = 1.0
    """Gradients are scaled to at most this norm; 0 leaves them."""

    def __post_init__(self) -> None:
        _one_of("optimizer.name", self.name, "adamw", "adam", "sgd")
        _within("optimizer.momentum", self.momentum, 0, 0.999)
        _within("optimizer.layer_decay", self.layer_decay, 0.1, 1)
        _within("optimizer.clip_norm", self.clip_norm, 0, 1000)
        _within("optimizer.lr", self.lr, 1e-8, 10)
        _within("optimizer.weight_decay", self.weight_decay, 0, 1)


@dataclass(frozen=True)
class ScheduleRecipe:
    """Learning rate over time: gradual warm-up (Goyal et al. 2017), then plateau, cosine, steps or constant."""

    __pydantic_config__: ClassVar[Any] = _FORM

    after: Literal["plateau", "cosine", "step", "constant"] = "plateau"
    """What follows the warm-up (paper 3.2 tried the first three)."""
    warmup_epochs: float = 3.0
    """Length of the warm-up; 0 for none (paper 3.2: 3)."""
    multiplier: float = 10.0
    """Warm-up ends at lr x multiplier, from lr; at 1 it starts from 0 and ends at lr; without a warm-up it does
    nothing (paper 3.2: 10)."""
    plateau_factor: float = 0.5
    """`plateau`: the rate is multiplied by this when the validation loss stalls."""
    plateau_patience: int = 1
    """`plateau`: epochs without improvement that are tolerated."""
    step_epochs: float = 5.0
    """`step`: the rate falls every so many epochs after the warm-up, as torch's StepLR does."""
    step_factor: float = 0.1
    """`step`: what the rate is multiplied by then."""

    def __post_init__(self) -> None:
        _one_of("schedule.after", self.after, "plateau", "cosine", "step", "constant")
        _within("schedule.plateau_patience", self.plateau_patience, 0, 10_000)
        _within("schedule.step_epochs", self.step_epochs, 0.01, 10_000)
        _within("schedule.step_factor", self.step_factor, 0.001, 0.999)
        _within("schedule.multiplier", self.multiplier, 1, 1000)
        _within("schedule.warmup_epochs", self.warmup_epochs, 0, 100)
        _within("schedule.plateau_factor", self.plateau_factor, 0.01, 0.99)


@dataclass(frozen=True)
class LossRecipe:
    """What is minimised."""

    __pydantic_config__: ClassVar[Any] = _FORM

    name: Literal["cross-entropy", "weighted", "focal"] = "cross-entropy"
    """`weighted`: balanced class weights; `focal`: Lin et al. 2017, equation 5."""
    focal_alpha: float = 0.25
    """`focal`: weight of the loss (paper: 0.25)."""
    focal_gamma: float = 2.0
    """`focal`: how strongly easy images are played down (paper: 2)."""
    label_smoothing: float = 0.0
    """Share of a label spread over all classes (Szegedy et al. 2016)."""

    def __post_init__(self) -> None:
        _one_of("loss.name", self.name, "cross-entropy", "weighted", "focal")
        _within("loss.focal_alpha", self.focal_alpha, 0, 1)
        _within("loss.focal_gamma", self.focal_gamma, 0, 10)
        _within("loss.label_smoothing", self.label_smoothing, 0, 0.9)


@dataclass(frozen=True)
class AugmentRecipe:
    """Batched augmentation on the model's device; the defaults are the paper's ranges (3.1)."""

    __pydantic_config__: ClassVar[Any] = _FORM

    flip: float = 0.5
    """Probability of a horizontal flip."""
    rotation: float = 15.0
    """Largest rotation either way, degrees."""
    translation: float = 0.1
    """Largest shift either way, share of the side."""
    scale: float = 0.0
    """Largest change of size either way, share."""
    light: float = 0.25
    """Largest change of brightness and of contrast either way, share."""
    blur: float = 0.1
    """Probability of a Gaussian blur with sigma 0.1 to 1.0."""
    noise: float = 0.0
    """Largest deviation of Gaussian noise, gray levels of 255; each image's is drawn between 0 and it."""
    erasing: float = 0.0
    """Probability of random erasing (Zhong et al. 2020)."""
    mixup: float = 0.0
    """Alpha of mixup's Beta distribution (Zhang et al. 2018), applied to half of the batches; 0 for none."""
    cutmix: float = 0.0
    """Alpha of cutmix's Beta distribution (Yun et al. 2019), applied to half of the batches; with mixup as well, a
    coin decides between the two."""
    policy_operations: int = 0
    """Operations drawn for every image as RandAugment does (Cubuk et al. 2020); 0 for none."""
    policy_magnitude: float = 0.3
    """Their strength, 0 to 1."""

    def __post_init__(self) -> None:
        for name in ("flip", "translation", "scale", "light", "blur", "erasing", "policy_magnitude"):
            _within(f"augment.{name}", getattr(self, name), 0, 1)
        _within("augment.rotation", self.rotation, 0, 180)
        _within("augment.noise", self.noise, 0, 128)
        _within("augment.mixup", self.mixup, 0, 10)
        _within("augment.cutmix", self.cutmix, 0, 10)
        _within("augment.policy_operations", self.policy_operations, 0, 10)


@dataclass(frozen=True)
class DistillRecipe:
    """Learning from a trained network's answers beside the labels (Hinton et al. 2015, arXiv 1503.02531)."""

    __pydantic_config__: ClassVar[Any] = _FORM

    teacher: str = ""
    """Folder or store URI of a finished run; empty for none."""
    weight: float = 0.5
    """Share of the teacher's part in the loss."""
    temperature: float = 2.0
    """Both sides' logits are divided by this; the part is multiplied by its square (Hinton et al., section 2)."""

    def __post_init__(self) -> None:
        _within("distill.weight", self.weight, 0, 1)
        _within("distill.temperature", self.temperature, 0.1, 100)


@dataclass(frozen=True)
class PretrainRecipe:
    """Masked autoencoding of the training images before any label is seen (He et al. 2022, arXiv 2111.06377)."""

    __pydantic_config__: ClassVar[Any] = _FORM

    epochs: int = 0
    """Length; 0 for none. Transformers alone."""
    mask: float = 0.6
    """Share of the patches that the encoder does not see (MAE: 0.75 at 196 patches; small faces have 36)."""
    lr: float = 1e-3
    """AdamW's peak learning rate, one epoch of warm-up, then cosine to 0."""
    width: int = 96
    """Token width of the decoder, two layers deep, which is thrown away afterwards."""

    def __post_init__(self) -> None:
        _within("pretrain.epochs", self.epochs, 0, 100_000)
        _within("pretrain.mask", self.mask, 0.1, 0.95)
        _within("pretrain.lr", self.lr, 1e-8, 10)
        _within("pretrain.width", self.width, 8, 4096)


@dataclass(frozen=True)
class Recipe:
    """A whole experiment but for its dataset."""

    __pydantic_config__: ClassVar[Any] = _FORM

    model: ModelRecipe = field(default_factory=ModelRecipe)
    """The network."""
    data: DataRecipe = field(default_factory=DataRecipe)
    """What training leaves out, and the validation slice."""
    balance: BalanceRecipe = field(default_factory=BalanceRecipe)
    """How classes are balanced."""
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    """Steps."""
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    """Learning rate over time."""
    loss: LossRecipe = field(default_factory=LossRecipe)
    """What is minimised."""
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    """What is varied."""
    distill: DistillRecipe = field(default_factory=DistillRecipe)
    """A teacher, if any."""
    pretrain: PretrainRecipe = field(default_factory=PretrainRecipe)
    """Self-supervised pretraining, if any."""
    regime: Literal["full", "partial", "head"] = "full"
    """What is trained: everything, the head with the top blocks of the network, or the head alone (paper 3.2)."""
    top_blocks: int = 4
    """`partial`: blocks below the head that are trained with it, the final norm included."""
    test_flips: bool = False
    """Answers are the mean over a face and its mirror image, also in the exported model; twice the cost."""
    int8: bool = False
    """The exported model counts in 8 bits, its ranges calibrated on validation images; it is what the gate judges."""
    epochs: int = 15
    """At most so many (paper 3.2: 15)."""
    early_size: int = 0
    """Side in pixels of the faces in the first epochs, which then cost less (progressive learning, Tan & Le 2021,
    arXiv 2104.00298); 0 for `model.image_size` throughout."""
    early_epochs: int = 0
    """How many epochs are learned at `early_size`."""
    batch_size: int = 32
    """Images a step, over all devices (paper 3.2: 32)."""
    patience: int = 3
    """Epochs without a better validation macro-F1 before training stops (paper 3.2: 3); 0 never stops early."""
    ema: float = 0.0
    """Decay of the moving average of weights that is evaluated and kept; 0 for none."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of forward and backward; `auto` takes bf16 where the device is fast at it."""
    seed: int = 0
    """Seed of initialisation, order, augmentation and sampling."""

    def __post_init__(self) -> None:
        _one_of("regime", self.regime, "full", "partial", "head")
        _within("top_blocks", self.top_blocks, 0, 1000)
        _within("epochs", self.epochs, 1, 10_000)
        _within("early_epochs", self.early_epochs, 0, self.epochs)
        if self.early_size:
            least = 32 if self.model.name == "vgg16" else 16  # five halvings
            _within("early_size", self.early_size, least, self.model.image_size)
        if self.early_size % 8:
            raise RecipeError(f"early_size is {self.early_size}; it must be a multiple of 8.")
        _within("batch_size", self.batch_size, 1, 65_536)
        _within("patience", self.patience, 0, 10_000)
        _within("ema", self.ema, 0, 0.99999)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @property
    def outside(self) -> tuple[str, ...]:
        """What lies outside of the recipe: weights, a teacher, an exclusion list, by name or URI."""
        return tuple(filter(None, (self.model.pretrained, self.distill.teacher, self.data.exclude)))

    @property
    def digest(self) -> str:
        """sha256 of recipe.json, hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


@dataclass(frozen=True)
class RunSummary:
    """summary.json: what a finished training was and what it cost. Its presence marks the run as complete."""

    preset: str
    model: str
    parameters: int
    best_epoch: int
    epochs: int
    train_images: int
    """Length of the balanced sample, repeats included."""
    validation_images: int
    validation_accuracy: float
    validation_macro_f1: float
    temperature: float
    """Fitted on the validation slice; already inside model.onnx."""
    seconds: float
    """Of the epochs with labels."""
    images_per_second: float
    peak_memory_mb: float
    """Of the GPU where there is one, else of the process."""
    device: str
    device_reason: str
    fingerprint: str
    image_height: int
    image_width: int
    has_rollout: bool
    recipe_sha256: str
    sample_sha256: str
    model_sha256: str
    """sha256 of model.onnx; empty where the machine could not export one."""
    energy_wh: float | None = None
    """Watt-hours of the epochs with labels; None where they could not be measured."""
    energy_source: str = "not measured"
    pretraining_seconds: float = 0.0
    """Of the masked pretraining, also where another training had done it."""
    pretraining_energy_wh: float | None = None
    """None without one, or where it was not measured."""
    schema_version: int = 3
    """1 knew no energy, 2 none of a pretraining; their files are read as not measured."""

    @property
    def cost(self) -> dict[str, float]:
        """What the training took, as metrics."""
        figures = {
            "training_seconds": self.seconds,
            "images_per_second": self.images_per_second,
            "peak_memory_mb": self.peak_memory_mb,
            "energy_wh": self.energy_wh,
            "pretraining_seconds": self.pretraining_seconds or None,
            "pretraining_energy_wh": self.pretraining_energy_wh,
        }
        return {name: figure for name, figure in figures.items() if figure is not None}

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "RunSummary":
        return cls(**json.loads(text))
