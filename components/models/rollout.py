"""Attention rollout (Abnar & Zuidema 2020, arXiv 2005.00928), for the CLS row alone.

The full product of L matrices [N, N] costs O(L N^3); only its CLS row is looked at, so one row
vector is carried from the last layer to the first: O(L N^2), the same numbers.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Fusion = Literal["mean", "max", "min"]


def fuse(attention: Tensor, fusion: Fusion, discard: float = 0.0) -> Tensor:
    """One layer's attention [B, heads, N, N] -> row-stochastic [B, N, N] with the residual added.

    discard: share of the weakest weights set to 0 in each image by itself; the CLS row is spared.
    """
    match fusion:
        case "mean":
            fused = attention.mean(1)
        case "max":
            fused = attention.amax(1)
        case "min":
            fused = attention.amin(1)
    return with_residual(without_weakest(fused, discard))


def with_residual(fused: Tensor) -> Tensor:
    """Weights [B, N, N] plus the identity, rows normalised."""
    fused = fused + torch.eye(fused.shape[-1], device=fused.device, dtype=fused.dtype)
    return fused / fused.sum(-1, keepdim=True)


def without_weakest(fused: Tensor, discard: float) -> Tensor:
    """Weights [B, N, N] with the weakest share of each image's rows 1 to N-1 set to 0."""
    rest = fused[:, 1:].flatten(1)
    count = int(discard * rest.shape[1])
    if not count:
        return fused
    weakest = rest.topk(count, dim=1, largest=False).indices
    rest = rest.scatter(1, weakest, 0.0)
    return torch.cat([fused[:, :1], rest.reshape(fused[:, 1:].shape)], 1)


def cls_rollout(attentions: Sequence[Tensor], fusion: Fusion = "mean", discard: float = 0.0) -> Tensor:
    """Share of each token in the CLS output: [B, N], rows sum to 1; token 0 is CLS itself.

    attentions: first layer first, each [B, heads, N, N] with rows that sum to 1.
    """
    row = fuse(attentions[-1], fusion, discard)[:, :1]  # [B, 1, N]
    for attention in reversed(attentions[:-1]):
        row = row @ fuse(attention, fusion, discard)
    return row.squeeze(1)


def rollout_map(
    attentions: Sequence[Tensor], height: int, width: int, fusion: Fusion = "mean", discard: float = 0.0
) -> Tensor:
    """Heat map [B, height, width] in 0..1, each image by its own maximum; patches must form a square."""
    return heat_map(cls_rollout(attentions, fusion, discard)[:, 1:], height, width)


def heat_map(patches: Tensor, height: int, width: int) -> Tensor:
    """Shares of the patches [B, N-1] as a map [B, height, width], each image by its own maximum."""
    side = round(patches.shape[1] ** 0.5)
    grid = patches.reshape(-1, 1, side, side)
    grid = grid / grid.amax((2, 3), keepdim=True).clamp_min(1e-12)
    return F.interpolate(grid, (height, width), mode="bilinear").squeeze(1)
