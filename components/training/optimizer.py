"""Optimizers by name, with decay where it belongs and a rate for each stage."""

from typing import Any

import torch
from torch.optim import Optimizer

from components.models.base import FaceModel
from components.models.stages import stages
from components.training.records import OptimizerRecipe


def build_optimizer(model: FaceModel, recipe: OptimizerRecipe) -> Optimizer:
    """Over the parameters that are trained. Vectors (norms, biases) are spared the weight decay.

    layer_decay d: the head learns at `lr`, the stage k below it at lr d^k (ELECTRA, Clark et al. 2020, 3.1).
    """
    groups = []
    for depth, stage in enumerate(reversed(stages(model))):
        for spared in (False, True):
            chosen = [p for p in stage if p.requires_grad and (p.ndim <= 1) == spared]
            if chosen:
                decay = 0.0 if spared else recipe.weight_decay
                groups.append({"params": chosen, "lr": recipe.lr * recipe.layer_decay**depth, "weight_decay": decay})
    return _BUILD[recipe.name](groups, recipe)


def _sgd(groups: list[dict[str, Any]], recipe: OptimizerRecipe) -> Optimizer:
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True)


_BUILD = {
    "adamw": lambda groups, recipe: torch.optim.AdamW(groups, lr=recipe.lr, fused=True),
    "adam": lambda groups, recipe: torch.optim.Adam(groups, lr=recipe.lr, fused=True),
    "sgd": _sgd,
}
