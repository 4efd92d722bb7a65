"""Maps for one class, by gradients: for research in PyTorch; what is served is the rollout.

Both weigh each layer's attention by the gradient of a class's logit and keep what speaks for it.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from components.errors import ModelNotFound
from components.models.base import Attending, FaceModel
from components.models.rollout import heat_map, with_residual, without_weakest

Method = Literal["gradient-rollout", "relevance"]


def class_map(
    model: FaceModel, images: Tensor, classes: Tensor | None = None, method: Method = "relevance", discard: float = 0.0
) -> Tensor:
    """Heat maps [B, H, W] in 0..1 of what speaks for a class.

    images: uint8 [B, H, W]; classes: int64 [B], each image's own answer by default. `gradient-rollout` is Abnar &
    Zuidema's product over gradient-weighted attention; `relevance` is Chefer et al. 2021 (arXiv 2103.15679), equations
    5 and 6. Raises ModelNotFound for a network without attention.
    """
    if not isinstance(model.backbone, Attending):
        raise ModelNotFound(f"{type(model.backbone).__name__} has no attention to explain: name a transformer.")
    features, attentions = model.backbone.attend(model.preprocess(images))
    logits = model.head(features)
    chosen = logits.argmax(1) if classes is None else classes
    gradients = torch.autograd.grad(logits.gather(1, chosen[:, None]).sum(), attentions)
    weighted = [(a * g).clamp_min(0).mean(1) for a, g in zip(attentions, gradients, strict=True)]
    row = (_gradient_rollout if method == "gradient-rollout" else _relevance)(weighted, discard)
    return heat_map(row[:, 1:], *images.shape[-2:]).detach()


def _gradient_rollout(weighted: Sequence[Tensor], discard: float) -> Tensor:
    """CLS row [B, N] of the product of row-normalised layers."""
    layers = [with_residual(without_weakest(layer, discard)) for layer in weighted]
    row = layers[-1][:, :1]
    for layer in reversed(layers[:-1]):
        row = row @ layer
    return row.squeeze(1)


def _relevance(weighted: Sequence[Tensor], discard: float) -> Tensor:
    """CLS row [B, N] of R, where R starts as the identity and every layer adds its weights times R."""
    row = torch.zeros_like(weighted[0][:, :1])
    row[..., 0] = 1
    for layer in reversed(weighted):
        row = row + row @ without_weakest(layer, discard)
    return row.squeeze(1)
