"""Batched augmentation on the images' device: no per-image Python.

Geometry is one affine grid a batch (rotation, scale, shift, flip together: one interpolation). Draws from torch's
global generator on the CPU, which checkpoints keep, so a resumed run sees the same images.
"""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from components.training.policy import apply_policy
from components.training.records import AugmentRecipe


def augment(images: Tensor, recipe: AugmentRecipe, strong: Tensor) -> Tensor:
    """images: uint8 [B, H, W] -> float32 [B, H, W], 0-255.

    strong: bool [B]; these images get twice the geometry and light, for copies of a rare class (paper 3.1).
    """
    factor = (1 + strong.float()).cpu()  # [B], 1 or 2
    out = images.float()
    out = affine(out, recipe, factor)
    out = light(out, recipe.light, factor)
    out = blur(out, recipe.blur)
    out = apply_policy(out, recipe.policy_operations, recipe.policy_magnitude)
    out = noise(out, recipe.noise)
    return erase(out, recipe.erasing)


def _uniform(factor: Tensor, limit: float) -> Tensor:
    """[B] values in +-limit, times each image's factor."""
    return (torch.rand(len(factor)) * 2 - 1) * limit * factor


def affine(images: Tensor, recipe: AugmentRecipe, factor: Tensor) -> Tensor:
    """Flip, rotation, scale and translation in one bilinear sampling; edges are repeated."""
    angle = _uniform(factor, math.radians(recipe.rotation))
    zoom = 1 + _uniform(factor, recipe.scale).clamp(-0.9)
    mirror = 1 - 2 * (torch.rand(len(images)) < recipe.flip).float()
    shift = torch.stack([_uniform(factor, 2 * recipe.translation) for _ in range(2)], -1)  # grid spans 2
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = mirror * angle.cos() * zoom, -angle.sin() * zoom
    theta[:, 1, 0], theta[:, 1, 1] = mirror * angle.sin() * zoom, angle.cos() * zoom
    theta[:, :, 2] = shift
    if bool((theta == torch.eye(2, 3)).all()):
        return images  # interpolation would still round
    grid = F.affine_grid(theta, [len(images), 1, *images.shape[1:]], align_corners=False)
    grid = grid.to(images.device)
    return F.grid_sample(images.unsqueeze(1), grid, padding_mode="border", align_corners=False).squeeze(1)


def light(images: Tensor, limit: float, factor: Tensor) -> Tensor:
    """Contrast about each image's mean, then brightness, both by up to +-limit; neither falls below 0."""
    drawn = ((1 + _uniform(factor, limit)).clamp_min(0) for _ in range(2))
    contrast, brightness = (share[:, None, None].to(images.device) for share in drawn)
    mean = images.mean((1, 2), keepdim=True)
    return (((images - mean) * contrast + mean) * brightness).clamp(0, 255)


def blur(images: Tensor, probability: float) -> Tensor:
    """Gaussian blur of some images, sigma 0.1 to 1.0 each: one grouped convolution with 5 taps a direction."""
    chosen = torch.rand(len(images)) < probability
    sigma = 0.1 + 0.9 * torch.rand(len(images))
    if not bool(chosen.any()):
        return images
    taps = torch.arange(-2, 3).float()
    kernel = torch.exp(-0.5 * (taps / sigma[:, None]) ** 2)  # [B, 5]
    kernel = torch.where(chosen[:, None], kernel / kernel.sum(1, keepdim=True), (taps == 0).float())
    kernel = kernel.to(images.device)
    stack = F.pad(images.unsqueeze(0), (2, 2, 2, 2), mode="replicate")  # [1, B, H+4, W+4]
    stack = F.conv2d(stack, kernel[:, None, None, :], groups=len(images))
    return F.conv2d(stack, kernel[:, None, :, None], groups=len(images)).squeeze(0)


def noise(images: Tensor, largest: float) -> Tensor:
    """The grain of a sensor in little light: normal, each image with a deviation of its own."""
    if not largest:
        return images
    deviation = largest * torch.rand(len(images), 1, 1)
    return (images + (torch.randn(images.shape) * deviation).to(images.device)).clamp(0, 255)


def erase(images: Tensor, probability: float) -> Tensor:
    """Random erasing (Zhong et al. 2020, arXiv 1708.04896): a rectangle of 2 to 25 % an image, filled by its mean.

    Noise, as in the paper, would move the mean and deviation by which compact-vit standardises each image.
    """
    batch, height, width = images.shape
    chosen = torch.rand(batch) < probability
    area = (0.02 + 0.23 * torch.rand(batch)) * height * width
    aspect = torch.exp(torch.empty(batch).uniform_(math.log(0.3), math.log(3.3)))
    h, w = (area * aspect).sqrt().clamp(1, height), (area / aspect).sqrt().clamp(1, width)
    top, left = torch.rand(batch) * (height - h), torch.rand(batch) * (width - w)
    y, x = torch.arange(height)[None, :, None], torch.arange(width)[None, None, :]
    first, start = top[:, None, None], left[:, None, None]
    inside = (y >= first) & (y < first + h[:, None, None]) & (x >= start) & (x < start + w[:, None, None])
    mask = (inside & chosen[:, None, None]).to(images.device)
    if not bool(chosen.any()):
        return images
    return torch.where(mask, images.mean((1, 2), keepdim=True), images)


OFF = AugmentRecipe(flip=0, rotation=0, translation=0, scale=0, light=0, blur=0, erasing=0, mixup=0)
"""No augmentation: `augment` returns the images as floats."""


def only(**fields: Any) -> AugmentRecipe:
    """One augmentation alone, for looking at it."""
    return replace(OFF, **fields)
