"""What every network shares: pixels in, logits out, preprocessing inside."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.labels import CLASSES


@dataclass(frozen=True)
class Normalisation:
    """How pixels are scaled: by fixed mean and deviation (0..1 scale), or by each image's own."""

    mean: float = 0.5
    std: float = 0.5
    per_image: bool = False


LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as PIL's conversion to gray


class Preprocess(nn.Module):
    """uint8 or float images, gray [B, H, W] or RGB [B, 3, H, W], 0-255 -> float32 [B, C, S, S], on their device.

    With three channels and the default normalisation this is transformers' ViTImageProcessor: on float images within
    1e-5. On uint8 ones the processor rounds to whole gray levels between the two passes of its resizing and after
    them, and this does not: up to 2/255, one gray level on the scale -1 to 1, differ.
    """

    def __init__(self, size: int, channels: int, normalisation: Normalisation) -> None:
        super().__init__()
        self.size, self.channels, self.normalisation = size, channels, normalisation

    def forward(self, images: Tensor) -> Tensor:
        pixels = (images if images.ndim == 4 else images.unsqueeze(1)).to(torch.float32) / 255  # [B, 1 or 3, H, W]
        if pixels.shape[1] > self.channels:
            pixels = (pixels * pixels.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
        if pixels.shape[-1] != self.size or pixels.shape[-2] != self.size:
            shrinks = pixels.shape[-1] > self.size  # antialiasing changes nothing when growing and has no ONNX form
            pixels = F.interpolate(pixels, (self.size, self.size), mode="bilinear", antialias=shrinks)
        if self.normalisation.per_image:
            std, mean = torch.std_mean(pixels, dim=(1, 2, 3), keepdim=True)
            pixels = (pixels - mean) / (std + 1e-3)  # a constant image becomes zeros
        else:
            pixels = (pixels - self.normalisation.mean) / self.normalisation.std
        return pixels.expand(-1, self.channels, -1, -1)


@runtime_checkable
class Attending(Protocol):
    """A backbone whose attention can be looked at."""

    def attend(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features [B, D] and every layer's attention weights [B, heads, N, N], first layer first."""


@runtime_checkable
class Tokenised(Protocol):
    """A transformer in two steps, so that masked autoencoding can leave tokens out between them."""

    patch: int
    """Side in pixels of what one token stands for."""

    def tokens(self, pixels: Tensor) -> Tensor:
        """[B, C, S, S] -> [B, 1 + patches, D], CLS first, positions added."""

    def encode(self, tokens: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D] for any N."""


class FaceModel(nn.Module):
    """A network behind its preprocessing and the paper's head (3.2).

    `backbone` maps [B, C, S, S] to features [B, D].
    """

    def __init__(self, preprocess: Preprocess, backbone: nn.Module, features: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.backbone = backbone
        layers = [nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout)] if hidden else [nn.Dropout(dropout)]
        self.head = nn.Sequential(*layers, nn.Linear(hidden or features, len(CLASSES)))

    def forward(self, images: Tensor) -> Tensor:
        """images: uint8 or float [B, H, W], 0-255 -> logits float32 [B, 7]."""
        logits: Tensor = self.head(self.backbone(self.preprocess(images)))
        return logits.float()

    def answer(self, images: Tensor, flips: bool) -> Tensor:
        """Logits [B, 7]; with `flips` the mean over each image and its mirror image."""
        logits: Tensor = self(images)
        return (logits + self(images.flip(-1))) / 2 if flips else logits
