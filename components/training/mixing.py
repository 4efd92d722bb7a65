"""Mixing the images of a batch with one another, and their targets by the same share."""

import torch
from torch import Tensor

from components.training.records import AugmentRecipe


def mix(images: Tensor, targets: Tensor, recipe: AugmentRecipe) -> tuple[Tensor, Tensor]:
    """Half of the batches through mixup or cutmix, by a coin where the recipe has both; the others as they are.

    images: float [B, H, W]; targets: float [B, C]. Draws from torch's global generator, which checkpoints keep.
    """
    chosen = [(f, alpha) for f, alpha in ((mixup, recipe.mixup), (cutmix, recipe.cutmix)) if alpha]
    if not chosen or bool(torch.rand(()) >= 0.5):
        return images, targets
    function, alpha = chosen[int(torch.randint(len(chosen), ()))]
    return function(images, targets, alpha)


def mixup(images: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Each image and its target blended with another's (Zhang et al. 2018, arXiv 1710.09412)."""
    share, order = _beta(alpha), torch.randperm(len(images), device=images.device)
    return images * share + images[order] * (1 - share), targets * share + targets[order] * (1 - share)


def cutmix(images: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """A rectangle of each image replaced by another's, targets by area (Yun et al. 2019, arXiv 1905.04899)."""
    height, width = images.shape[1:]
    side = (1 - _beta(alpha)) ** 0.5
    y, x = int(torch.randint(height, ())), int(torch.randint(width, ()))
    top, bottom = max(0, round(y - side * height / 2)), min(height, round(y + side * height / 2))
    left, right = max(0, round(x - side * width / 2)), min(width, round(x + side * width / 2))
    order = torch.randperm(len(images), device=images.device)
    images = images.clone()
    images[:, top:bottom, left:right] = images[order, top:bottom, left:right]
    share = 1 - (bottom - top) * (right - left) / (height * width)
    return images, targets * share + targets[order] * (1 - share)


def _beta(alpha: float) -> float:
    """One draw of Beta(alpha, alpha): two gammas make it."""
    a, b = torch._standard_gamma(torch.full((2,), alpha))
    return float(a / (a + b).clamp_min(1e-12))
