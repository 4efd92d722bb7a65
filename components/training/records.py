"""Recipes: everything that decides what a training does, in plain frozen dataclasses."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from components.balancing.records import BalanceRecipe, DataRecipe
from components.errors import RecipeError
from components.models.records import ModelRecipe
from components.ranges import one_of, within

_FORM: dict[str, Any] = {"use_attribute_docstrings": True, "extra": "forbid"}


@dataclass(frozen=True)
class OptimizerRecipe:
    """Steps: AdamW (Loshchilov & Hutter 2019), Adam (Kingma & Ba 2015) or SGD."""

    __pydantic_config__: ClassVar[Any] = _FORM

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    """Rule of a step; all three are among those the paper tried (3.2)."""
    lr: float = 1e-5
    """Learning rate before warm-up's multiplier (paper 3.2: 1e-5); 1e-08 to 10."""
    weight_decay: float = 1e-4
    """Weight decay, decoupled for `adamw`, added to the gradient for the others; norms and biases are spared
    (paper 3.2: 1e-4); 0 to 1."""
    momentum: float = 0.9
    """`sgd`: Nesterov momentum; 0 to 0.999."""
    layer_decay: float = 1.0
    """Each stage learns at this factor of the rate of the one above it (Clark et al. 2020); 1 for none; 0.1 to 1."""
    clip_norm: float = 1.0
    """Gradients are scaled to at most this norm; 0 leaves them; 0 to 1000."""

    def __post_init__(self) -> None:
        one_of("optimizer.name", self.name, "adamw", "adam", "sgd")
        within("optimizer.momentum", self.momentum, 0, 0.999)
        within("optimizer.layer_decay", self.layer_decay, 0.1, 1)
        within("optimizer.clip_norm", self.clip_norm, 0, 1000)
        within("optimizer.lr", self.lr, 1e-8, 10)
        within("optimizer.weight_decay", self.weight_decay, 0, 1)


@dataclass(frozen=True)
class ScheduleRecipe:
    """Learning rate over time: gradual warm-up (Goyal et al. 2017), then plateau, cosine, steps or constant."""

    __pydantic_config__: ClassVar[Any] = _FORM

    after: Literal["plateau", "cosine", "step", "constant"] = "plateau"
    """What follows the warm-up (paper 3.2 tried the first three)."""
    warmup_epochs: float = 3.0
    """Length of the warm-up; 0 for none (paper 3.2: 3); 0 to 100."""
    multiplier: float = 10.0
    """Warm-up ends at lr x multiplier, from lr; at 1 it starts from 0 and ends at lr; without a warm-up it does
    nothing (paper 3.2: 10); 1 to 1000."""
    plateau_factor: float = 0.5
    """`plateau`: the rate is multiplied by this when the validation loss stalls; 0.01 to 0.99."""
    plateau_patience: int = 1
    """`plateau`: epochs without improvement that are tolerated; 0 to 10000."""
    step_epochs: float = 5.0
    """`step`: the rate falls every so many epochs after the warm-up, as torch's StepLR does; 0.01 to 10000."""
    step_factor: float = 0.1
    """`step`: what the rate is multiplied by then; 0.001 to 0.999."""

    def __post_init__(self) -> None:
        one_of("schedule.after", self.after, "plateau", "cosine", "step", "constant")
        within("schedule.plateau_patience", self.plateau_patience, 0, 10_000)
        within("schedule.step_epochs", self.step_epochs, 0.01, 10_000)
        within("schedule.step_factor", self.step_factor, 0.001, 0.999)
        within("schedule.multiplier", self.multiplier, 1, 1000)
        within("schedule.warmup_epochs", self.warmup_epochs, 0, 100)
        within("schedule.plateau_factor", self.plateau_factor, 0.01, 0.99)


@dataclass(frozen=True)
class LossRecipe:
    """What is minimised."""

    __pydantic_config__: ClassVar[Any] = _FORM

    name: Literal["cross-entropy", "weighted", "focal"] = "cross-entropy"
    """`weighted`: class weights that make up for what `balance` leaves of the imbalance; `focal`: Lin et al. 2017,
    equation 5."""
    focal_alpha: float = 0.25
    """`focal`: weight of the loss (paper: 0.25); 0 to 1."""
    focal_gamma: float = 2.0
    """`focal`: how strongly easy images are played down (paper: 2); 0 to 10."""
    label_smoothing: float = 0.0
    """Share of a label spread over all classes (Szegedy et al. 2016); 0 to 0.9."""

    def __post_init__(self) -> None:
        one_of("loss.name", self.name, "cross-entropy", "weighted", "focal")
        within("loss.focal_alpha", self.focal_alpha, 0, 1)
        within("loss.focal_gamma", self.focal_gamma, 0, 10)
        within("loss.label_smoothing", self.label_smoothing, 0, 0.9)


@dataclass(frozen=True)
class AugmentRecipe:
    """Batched augmentation on the model's device; the defaults are the paper's ranges (3.1)."""

    __pydantic_config__: ClassVar[Any] = _FORM

    flip: float = 0.5
    """Probability of a horizontal flip; 0 to 1."""
    rotation: float = 15.0
    """Largest rotation either way, degrees; 0 to 180."""
    translation: float = 0.1
    """Largest shift either way, share of the side; 0 to 1."""
    scale: float = 0.0
    """Largest change of size either way, share; 0 to 1."""
    light: float = 0.25
    """Largest change of brightness and of contrast either way, share; 0 to 1."""
    blur: float = 0.1
    """Probability of a Gaussian blur with sigma 0.1 to 1.0; 0 to 1."""
    noise: float = 0.0
    """Largest deviation of Gaussian noise, gray levels of 255; each image's is drawn between 0 and it; 0 to 128."""
    erasing: float = 0.0
    """Probability of random erasing (Zhong et al. 2020); 0 to 1."""
    mixup: float = 0.0
    """Alpha of mixup's Beta distribution (Zhang et al. 2018), applied to half of the batches; 0 for none; 0 to 10."""
    cutmix: float = 0.0
    """Alpha of cutmix's Beta distribution (Yun et al. 2019), applied to half of the batches; with mixup as well, a
    coin decides between the two; 0 to 10."""
    policy_operations: int = 0
    """Operations drawn for every image as RandAugment does (Cubuk et al. 2020); 0 for none; 0 to 10."""
    policy_magnitude: float = 0.3
    """Their strength, 0 to 1."""

    def __post_init__(self) -> None:
        for name in ("flip", "translation", "scale", "light", "blur", "erasing", "policy_magnitude"):
            within(f"augment.{name}", getattr(self, name), 0, 1)
        within("augment.rotation", self.rotation, 0, 180)
        within("augment.noise", self.noise, 0, 128)
        within("augment.mixup", self.mixup, 0, 10)
        within("augment.cutmix", self.cutmix, 0, 10)
        within("augment.policy_operations", self.policy_operations, 0, 10)


@dataclass(frozen=True)
class DistillRecipe:
    """Learning from a trained network's answers beside the labels (Hinton et al. 2015, arXiv 1503.02531)."""

    __pydantic_config__: ClassVar[Any] = _FORM

    teacher: str = ""
    """Folder or store URI of a finished run; several, parted by commas, teach by the mean of their logits; empty for
    none."""
    weight: float = 0.5
    """Share of the teacher's part in the loss; 0 to 1."""
    temperature: float = 2.0
    """Both sides' logits are divided by this; the part is multiplied by its square (Hinton et al., section 2);
    0.1 to 100."""

    def __post_init__(self) -> None:
        within("distill.weight", self.weight, 0, 1)
        within("distill.temperature", self.temperature, 0.1, 100)

    @property
    def teachers(self) -> tuple[str, ...]:
        """Each teacher's folder or store URI."""
        return tuple(filter(None, (name.strip() for name in self.teacher.split(","))))


@dataclass(frozen=True)
class PretrainRecipe:
    """Masked autoencoding of the training images before any label is seen (He et al. 2022, arXiv 2111.06377)."""

    __pydantic_config__: ClassVar[Any] = _FORM

    epochs: int = 0
    """Length, for transformers alone; 0 for none; 0 to 100000."""
    mask: float = 0.6
    """Share of the patches that the encoder does not see (MAE: 0.75 at 196 patches; small faces have 36);
    0.1 to 0.95."""
    lr: float = 1e-3
    """AdamW's peak learning rate, one epoch of warm-up, then cosine to 0; 1e-08 to 10."""
    width: int = 96
    """Token width of the decoder, two layers deep, which is thrown away afterwards; 8 to 4096."""

    def __post_init__(self) -> None:
        within("pretrain.epochs", self.epochs, 0, 100_000)
        within("pretrain.mask", self.mask, 0.1, 0.95)
        within("pretrain.lr", self.lr, 1e-8, 10)
        within("pretrain.width", self.width, 8, 4096)


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
    """`partial`: blocks below the head that are trained with it, the final norm included; 0 to 1000."""
    test_flips: bool = False
    """Answers are the mean over a face and its mirror image, also in the exported model; twice the cost."""
    int8: bool = False
    """The exported model counts in 8 bits, its ranges calibrated on validation images; it is what the gate judges."""
    epochs: int = 15
    """At most so many (paper 3.2: 15); 1 to 10000."""
    early_size: int = 0
    """Side in pixels of the faces in the first epochs, which then cost less (progressive learning, Tan & Le 2021,
    arXiv 2104.00298); 0 for `model.image_size` throughout; else a multiple of 8, 16 to `model.image_size`, for `vgg16`
    32 at least."""
    early_epochs: int = 0
    """How many epochs are learned at `early_size`, and 0 without one; 0 to `epochs`."""
    batch_size: int = 32
    """Images a step, over all devices (paper 3.2: 32); 1 to 65536."""
    patience: int = 3
    """Epochs without a better validation macro-F1 before training stops (paper 3.2: 3); 0 never stops early;
    0 to 10000."""
    ema: float = 0.0
    """Decay of the moving average of weights that is evaluated and kept; 0 for none; 0 to 0.99999."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of forward and backward; `auto` takes bf16 where the device is fast at it."""
    seed: int = 0
    """Seed of initialisation, order, augmentation and sampling; 0 to 4294967295."""

    def __post_init__(self) -> None:
        one_of("regime", self.regime, "full", "partial", "head")
        within("top_blocks", self.top_blocks, 0, 1000)
        within("epochs", self.epochs, 1, 10_000)
        within("early_epochs", self.early_epochs, 0, self.epochs)
        if self.early_size:
            within("early_size", self.early_size, self.model.smallest, self.model.image_size)
        if self.early_size % 8:
            raise RecipeError(f"early_size is {self.early_size}; it must be a multiple of 8.")
        if bool(self.early_size) != bool(self.early_epochs):
            raise RecipeError(
                f"early_size is {self.early_size} and early_epochs is {self.early_epochs}: the one says how large the "
                "faces of the first epochs are, the other how many those are. Set both, or leave both 0."
            )
        within("batch_size", self.batch_size, 1, 65_536)
        within("patience", self.patience, 0, 10_000)
        within("ema", self.ema, 0, 0.99999)
        one_of("precision", self.precision, "auto", "fp32", "bf16")
        within("seed", self.seed, 0, 2**32 - 1)  # what numpy takes

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @property
    def outside(self) -> tuple[str, ...]:
        """What lies outside of the recipe: weights, teachers, an exclusion list, by name or URI."""
        return tuple(filter(None, (self.model.pretrained, *self.distill.teachers, self.data.exclude)))

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
