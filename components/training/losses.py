"""Losses over soft targets, so that label smoothing and mixup need no case of their own."""

import torch
from torch import Tensor
from torch.nn import functional as F

from components.training.records import LossRecipe


def soft_targets(labels: Tensor, classes: int, smoothing: float) -> Tensor:
    """int64 [B] -> float32 [B, classes], rows sum to 1."""
    return F.one_hot(labels, classes).float() * (1 - smoothing) + smoothing / classes


def compute_loss(logits: Tensor, targets: Tensor, recipe: LossRecipe, class_weights: Tensor) -> Tensor:
    """Mean loss of a batch. logits, targets: float [B, C]; class_weights: float [C], used by `weighted`.

    focal: alpha (1 - p)^gamma (-log p), Lin et al. 2017 (arXiv 1708.02002) eq. 5, expected over soft targets.
    weighted: as torch's, divided by the sum of the weights of the batch.
    """
    log_p = logits.float().log_softmax(-1)
    if recipe.name == "focal":
        missed = (-log_p.expm1()).clamp_min(torch.finfo(log_p.dtype).tiny)  # 1 - p; at 0 a root has no finite slope
        modulation = recipe.focal_alpha * missed.pow(recipe.focal_gamma)
        return -(targets * modulation * log_p).sum(-1).mean()
    if recipe.name == "weighted":
        weighted = targets * class_weights
        return -(weighted * log_p).sum() / weighted.sum()
    return -(targets * log_p).sum(-1).mean()


def distillation(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher / T || student / T), mean of a batch (Hinton et al. 2015, section 2). Both float [B, C]."""
    student = (logits.float() / temperature).log_softmax(-1)
    target = (teacher.float() / temperature).log_softmax(-1)
    return temperature**2 * F.kl_div(student, target, reduction="batchmean", log_target=True)
