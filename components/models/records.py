"""What a network is made of."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from components.errors import RecipeError
from components.ranges import one_of, within

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
    """Side in pixels at which the network works; images are resized to it inside the model; 16 to 1024, for `vgg16`
    32 at least."""
    patch_size: int = 8
    """`vit` from scratch: side of a patch in pixels; 1 to 1024."""
    width: int = 192
    """Transformers from scratch: token width; 8 to 8192."""
    depth: int = 6
    """Transformers from scratch: number of layers; 1 to 100."""
    heads: int = 6
    """Transformers from scratch: attention heads, a divisor of `width`; 1 to 256."""
    mlp_ratio: float = 3.0
    """Transformers from scratch: hidden width of the MLP over `width`; 0.25 to 16."""
    stem_width: int = 48
    """`compact-vit`: channels at half resolution, twice as many at a quarter; 1 to 4096."""
    half_blocks: int = 1
    """`compact-vit`: residual blocks at half resolution; 0 to 100."""
    quarter_blocks: int = 1
    """`compact-vit`: residual blocks at a quarter; 0 to 100."""
    token_blocks: int = 0
    """`compact-vit`: residual blocks at an eighth, on what becomes the tokens; 0 to 100."""
    drop_path: float = 0.0
    """`compact-vit`: stochastic depth of the last layer, growing linearly from 0 (Huang et al. 2016), refused for
    `vit`; 0 to 0.99."""
    head_hidden: int = 256
    """Hidden width of the head, `width -> head_hidden -> 7` (paper 3.2: 256); 0 for a linear head; 0 to 16384."""
    dropout: float = 0.3
    """Dropout inside the head (paper 3.2); 0 to 0.99."""
    cnn_width: float = 1.0
    """`vgg16`: share of torchvision's channels, so that two cores can carry it; 0.01 to 4."""
    cnn_small: bool = False
    """CNNs: the form for small faces from scratch. `resnet18` begins with a 3x3 convolution and no pooling, at four
    times the places; `vgg16` has batch norms, and a mean over its last map for the fifth pooling, which at 48 px would
    leave out a row and a column. Both scale each image by its own mean and deviation, as `compact-vit` does."""

    def __post_init__(self) -> None:
        one_of("model.name", self.name, *get_args(ModelName))
        within("model.image_size", self.image_size, self.smallest, 1024)
        within("model.patch_size", self.patch_size, 1, 1024)
        within("model.width", self.width, 8, 8192)
        within("model.depth", self.depth, 1, 100)
        within("model.heads", self.heads, 1, 256)
        within("model.mlp_ratio", self.mlp_ratio, 0.25, 16)
        within("model.stem_width", self.stem_width, 1, 4096)
        for name in ("half_blocks", "quarter_blocks", "token_blocks"):
            within(f"model.{name}", getattr(self, name), 0, 100)
        for name in ("drop_path", "dropout"):
            within(f"model.{name}", getattr(self, name), 0, 0.99)
        within("model.head_hidden", self.head_hidden, 0, 16_384)
        within("model.cnn_width", self.cnn_width, 0.01, 4)
        if self.width % self.heads:
            raise RecipeError(f"model.width {self.width} is not divisible by model.heads {self.heads}.")
        if self.name == "vit" and self.drop_path:
            raise RecipeError(
                f"model.drop_path is {self.drop_path} and model.name vit: stochastic depth is for compact-vit. Take "
                "that network, or set model.drop_path=0."
            )
        if self.name == "vit" and not self.pretrained and self.image_size % self.patch_size:
            raise RecipeError(f"model.image_size {self.image_size} is not a multiple of patch_size {self.patch_size}.")

    @property
    def smallest(self) -> int:
        """Least side in pixels of a face that the network can look at; VGG halves it five times."""
        return 32 if self.name == "vgg16" else 16

    @property
    def has_attention(self) -> bool:
        """Whether attention rollout exists for this network."""
        return self.name in ATTENTION_MODELS
