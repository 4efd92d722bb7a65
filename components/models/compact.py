"""compact-vit: a small ViT for 48-pixel faces, with a convolutional stem and a CLS token.

Early convolutions make small transformers trainable on little data (Xiao et al. 2021, arXiv
2106.14881; Hassani et al. 2021, arXiv 2104.05704). Notable: pre-norm layers, stochastic depth
(Huang et al. 2016), learned positions, 48 px -> 24 -> 12 -> 6 x 6 tokens.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import StochasticDepth

from components.models.records import ModelRecipe

REDUCTION = 8
POSITION_SCALE = 0.5  # tokens leave the stem with unit variance; at the usual 0.02 places are invisible for an epoch


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.GELU())


class Residual(nn.Module):
    """Two 3x3 convolutions around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, channels, 1),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.body(x))


def _stem(recipe: ModelRecipe) -> nn.Sequential:
    """[B, 1, S, S] -> [B, width, S/8, S/8]: three halvings, each with its residual blocks."""
    half, quarter, width = recipe.stem_width, 2 * recipe.stem_width, recipe.width
    return nn.Sequential(
        _convolution(1, half, 2),
        *(Residual(half) for _ in range(recipe.half_blocks)),
        _convolution(half, quarter, 2),
        *(Residual(quarter) for _ in range(recipe.quarter_blocks)),
        nn.Conv2d(quarter, width, 3, 2, 1, bias=False),
        nn.BatchNorm2d(width),  # without it the first epochs learn half as fast
        *([nn.GELU()] if recipe.token_blocks else []),
        *(Residual(width) for _ in range(recipe.token_blocks)),
    )


class Layer(nn.Module):
    """Pre-norm attention and MLP, each on a residual branch that stochastic depth may drop."""

    def __init__(self, recipe: ModelRecipe, drop_path: float) -> None:
        super().__init__()
        width, hidden = recipe.width, int(recipe.width * recipe.mlp_ratio)
        self.heads = recipe.heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.drop = StochasticDepth(drop_path, "row")

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))  # [B, N, 3, h, d]
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # [B, h, N, d] each
        return q, k, v

    def _merge(self, x: Tensor, values: Tensor) -> Tensor:
        x = x + self.drop(self.out(values.transpose(1, 2).flatten(2)))
        merged: Tensor = x + self.drop(self.mlp(self.norm2(x)))
        return merged

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda:
            return self._merge(x, F.scaled_dot_product_attention(*self._split(x)))
        # torch 2.14's fused attention backward on CPU takes 56 % of a step at 37 tokens; written out it takes 10 %.
        return self.attend(x)[0]

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The same, with attention written out: tokens [B, N, D] and weights [B, h, N, N]."""
        q, k, v = self._split(x)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
        return self._merge(x, weights @ v), weights


class CompactViT(nn.Module):
    """[B, 1, S, S] -> CLS features [B, width]; S is a multiple of 8."""

    def __init__(self, recipe: ModelRecipe) -> None:
        super().__init__()
        side = recipe.image_size // REDUCTION
        self.stem = _stem(recipe)
        self.cls = nn.Parameter(torch.zeros(1, 1, recipe.width))
        self.positions = nn.Parameter(torch.randn(1, side * side + 1, recipe.width) * POSITION_SCALE)
        rates = torch.linspace(0, recipe.drop_path, recipe.depth).tolist()
        self.layers = nn.ModuleList(Layer(recipe, rate) for rate in rates)
        self.norm = nn.LayerNorm(recipe.width)
        self.patch = REDUCTION

    def tokens(self, pixels: Tensor) -> Tensor:
        """[B, 1 + patches, width], CLS first, positions added."""
        tokens = self.stem(pixels).flatten(2).transpose(1, 2)  # [B, side*side, D]
        tokens = torch.cat([self.cls.expand(tokens.shape[0], -1, -1), tokens], 1)
        return tokens + self._places(pixels.shape[-1] // self.patch)

    def _places(self, side: int) -> Tensor:
        """Learned positions [1, 1 + side^2, width], interpolated where faces of another size are learned."""
        own = round((self.positions.shape[1] - 1) ** 0.5)
        if side == own:
            return self.positions
        grid = self.positions[:, 1:].transpose(1, 2).reshape(1, -1, own, own)
        grid = F.interpolate(grid, (side, side), mode="bilinear", align_corners=False)
        return torch.cat([self.positions[:, :1], grid.flatten(2).transpose(1, 2)], 1)

    def encode(self, tokens: Tensor) -> Tensor:
        """Tokens through every layer and the final norm, [B, N, width] for any N."""
        for layer in self.layers:
            tokens = layer(tokens)
        encoded: Tensor = self.norm(tokens)
        return encoded

    def forward(self, pixels: Tensor) -> Tensor:
        return self.encode(self.tokens(pixels))[:, 0]

    def attend(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features and every layer's attention weights [B, heads, N, N], first layer first."""
        x, attentions = self.tokens(pixels), []
        for layer in self.layers:
            assert isinstance(layer, Layer)
            x, weights = layer.attend(x)
            attentions.append(weights)
        return self.norm(x[:, 0]), attentions
