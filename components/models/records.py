"""What a network is made of."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from components.errors import RecipeError

ModelName = Literal["vit", "compact-vit", "resnet18", "vgg16"]
ATTENTION_MODELS = ("vit", "compact-vit")


@dataclass(frozen=True)
class ModelRecipe:
    """One network; fields that a network does not use are ignored by it."""

    __pydantic_config__: ClassVar[Any] = {"use_attribute_docstrings": True, "extra": "forbid"}

    name: ModelName = "compact-vit"
    """Network: transformers' ViT, the small ViT with a convolutional stem, or torchvision's CNNs."""
    pretrained: str = ""
    """`vit`: hub id, local folder, store URI or state dict; CNNs: file with a torchvision state dict, or the name of
    torchvision's weights, such as IMAGENET1K_V1; CNNs and `compact-vit`: a finished run to go on from. Empty: from
    scratch."""
    image_size: int = 48
    """Side in pixels at which the network works; images are resized to it inside the model."""
    patch_size: int = 8
    """`vit` from scratch: side of a patch in pixels."""
    width: int = 192
    """Transformers from scratch: token width."""
    depth: int = 6
    """Transformers from scratch: number of layers."""
    heads: int = 6
    """Transformers from scratch: attention heads; divides `width`."""
    mlp_ratio: float = 3.0
    """Transformers from scratch: hidden width of the MLP over `width`."""
    stem_width: int = 48
    """`compact-vit`: channels at half resolution, twice as many at a quarter."""
    half_blocks: int = 1
    """`compact-vit`: residual blocks at half resolution."""
    quarter_blocks: int = 1
    """`compact-vit`: residual blocks at a quarter."""
    token_blocks: int = 0
    """`compact-vit`: residual blocks at an eighth, on what becomes the tokens."""
    drop_path: float = 0.0
    """`compact-vit`: stochastic depth of the last layer, growing linearly from 0 (Huang et al. 2016)."""
    head_hidden: int = 256
    """Hidden width of the head, `width -> head_hidden -> 7` (paper 3.2: 256); 0 for a linear head."""
    dropout: float = 0.3
    """Dropout inside the head (paper 3.2)."""
    cnn_width: float = 1.0
    """`vgg16`: share of torchvision's channels, so that two cores can carry it."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise RecipeError(f"model.width {self.width} is not divisible by model.heads {self.heads}.")
        for field in ("half_blocks", "quarter_blocks", "token_blocks"):
            if not 0 <= getattr(self, field) <= 100:
                raise RecipeError(f"model.{field} is {getattr(self, field)}; it must lie between 0 and 100.")
        if self.stem_width < 1:
            raise RecipeError(f"model.stem_width is {self.stem_width}; it must be at least 1.")
        for field, value in (("dropout", self.dropout), ("drop_path", self.drop_path)):
            if not 0 <= value < 1:
                raise RecipeError(f"model.{field} is {value}; it must lie in [0, 1).")
        if self.name == "vit" and not self.pretrained and self.image_size % self.patch_size:
            raise RecipeError(f"model.image_size {self.image_size} is not a multiple of patch_size {self.patch_size}.")
        if self.image_size < 16:
            raise RecipeError(f"model.image_size is {self.image_size}; it must be at least 16.")

    @property
    def has_attention(self) -> bool:
        """Whether attention rollout exists for this network."""
        return self.name in ATTENTION_MODELS
