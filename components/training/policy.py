"""A RandAugment-like policy in batched tensor code (Cubuk et al. 2020, arXiv 1909.13719).

Every image draws its own operations; each operation then runs once on the images that drew it. Operations that
`augment` has fields for (flip, shift, blur) are left to it.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Operation = Callable[[Tensor, Tensor], Tensor]
"""(images float [B, H, W] 0-255, strength float [B] in -1..1) -> the same shape and range."""


def apply_policy(images: Tensor, operations: int, magnitude: float) -> Tensor:
    """images: float [B, H, W], 0-255. Draws from torch's global generator on the CPU, which checkpoints keep."""
    names = list(OPERATIONS)
    for _ in range(operations):
        drawn = torch.randint(len(names) + 1, (len(images),))  # the last one leaves the image as it is
        sign = torch.randint(2, (len(images),)) * 2.0 - 1
        strength = (sign * magnitude).to(images.device)
        images = images.clone()
        for index, name in enumerate(names):
            rows = (drawn == index).nonzero().squeeze(1).to(images.device)
            if len(rows):
                images[rows] = OPERATIONS[name](images[rows], strength[rows]).clamp(0, 255)
    return images


def _each(values: Tensor) -> Tensor:
    return values[:, None, None]


def brightness(images: Tensor, strength: Tensor) -> Tensor:
    """Every pixel times 1 +- strength."""
    return images * _each(1 + strength)


def contrast(images: Tensor, strength: Tensor) -> Tensor:
    """Distance from the image's mean times 1 +- strength."""
    mean = images.mean((1, 2), keepdim=True)
    return mean + (images - mean) * _each(1 + strength)


def sharpness(images: Tensor, strength: Tensor) -> Tensor:
    """Distance from a smoothed copy times 1 +- strength (PIL's SMOOTH kernel)."""
    kernel = torch.tensor([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]], device=images.device) / 13
    smooth = F.conv2d(F.pad(images[:, None], (1, 1, 1, 1), mode="replicate"), kernel[None, None]).squeeze(1)
    return smooth + (images - smooth) * _each(1 + strength)


def autocontrast(images: Tensor, strength: Tensor) -> Tensor:
    """Darkest pixel to 0, brightest to 255; a constant image stays."""
    low, high = images.amin((1, 2), keepdim=True), images.amax((1, 2), keepdim=True)
    return torch.where(high > low, (images - low) * 255 / (high - low).clamp_min(1e-6), images)


def gamma(images: Tensor, strength: Tensor) -> Tensor:
    """x -> x^g on the scale 0..1, g from 1/2 to 2 at full strength."""
    return 255 * (images / 255).clamp(0, 1) ** _each(2**strength)


def posterise(images: Tensor, strength: Tensor) -> Tensor:
    """Gray levels cut to 8 - 4 |strength| bits."""
    step = _each(2.0 ** (4 * strength.abs()).round())
    return (images / step).floor() * step


def solarise(images: Tensor, strength: Tensor) -> Tensor:
    """Pixels above a threshold are inverted; it falls from 255 to 128 with the strength."""
    threshold = _each(255 - 127 * strength.abs())
    return torch.where(images > threshold, 255 - images, images)


def _warp(images: Tensor, rows: Tensor) -> Tensor:
    """Sample along 2x3 matrices [B, 2, 3] of the grid -1..1; edges are repeated."""
    grid = F.affine_grid(rows, [len(images), 1, *images.shape[1:]], align_corners=False)
    return F.grid_sample(images[:, None], grid, padding_mode="border", align_corners=False).squeeze(1)


def rotate(images: Tensor, strength: Tensor) -> Tensor:
    """By up to 30 degrees."""
    angle, zero = strength * math.radians(30), torch.zeros_like(strength)
    first, second = (angle.cos(), -angle.sin(), zero), (angle.sin(), angle.cos(), zero)
    return _warp(images, torch.stack([torch.stack(first, -1), torch.stack(second, -1)], 1))


def shear(images: Tensor, strength: Tensor) -> Tensor:
    """Rows moved sideways by up to 0.3 of their height."""
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    first, second = (one, 0.3 * strength, zero), (zero, one, zero)
    return _warp(images, torch.stack([torch.stack(first, -1), torch.stack(second, -1)], 1))


OPERATIONS: dict[str, Operation] = {
    "brightness": brightness,
    "contrast": contrast,
    "sharpness": sharpness,
    "autocontrast": autocontrast,
    "gamma": gamma,
    "posterise": posterise,
    "solarise": solarise,
    "rotate": rotate,
    "shear": shear,
}
