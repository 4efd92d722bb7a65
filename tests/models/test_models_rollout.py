"""Attention rollout against the full matrix product and its invariants."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from components.models import ModelRecipe
from components.models.build import build_model
from components.models.rollout import Fusion, cls_rollout, fuse, rollout_map

FUSIONS: tuple[Fusion, ...] = ("mean", "max", "min")


def attentions(seed: int, layers: int = 3, batch: int = 2, heads: int = 3, tokens: int = 10) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(layers, batch, heads, tokens, tokens, generator=generator, dtype=torch.float64) * 3
    return list(scores.softmax(-1))


def full_product(layers: list[Tensor], fusion: Fusion) -> Tensor:
    joint = torch.eye(layers[0].shape[-1], dtype=torch.float64).expand(len(layers[0]), -1, -1)
    for attention in layers:
        joint = fuse(attention, fusion) @ joint
    return joint[:, 0]


@pytest.mark.parametrize("fusion", FUSIONS)
@given(seed=st.integers(0, 10_000), layers=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_one_row_equals_the_full_product(fusion: Fusion, seed: int, layers: int) -> None:
    weights = attentions(seed, layers)
    ours, reference = cls_rollout(weights, fusion), full_product(weights, fusion)
    assert (ours - reference).abs().max() < 1e-12


@pytest.mark.parametrize("fusion", FUSIONS)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_rows_sum_to_one(fusion: Fusion, seed: int) -> None:
    assert torch.allclose(cls_rollout(attentions(seed), fusion).sum(-1), torch.ones(2, dtype=torch.float64))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_permuted_patches_permute_the_map(seed: int) -> None:
    weights = attentions(seed)
    order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(9)])
    permuted = [a[:, :, order][:, :, :, order] for a in weights]
    assert torch.allclose(cls_rollout(permuted), cls_rollout(weights)[:, order])


def test_uniform_attention_gives_a_flat_map_of_ones() -> None:
    uniform = [torch.full((1, 2, 10, 10), 0.1)] * 4
    assert torch.allclose(rollout_map(uniform, 48, 48), torch.ones(1, 48, 48))


@pytest.mark.parametrize("name", ["vit", "compact-vit"])
def test_a_batch_gives_the_maps_of_single_calls(name: str) -> None:
    model = build_model(ModelRecipe(name=name, width=32, depth=2, heads=2)).eval()  # type: ignore[arg-type]
    images = torch.randint(0, 256, (3, 48, 48), dtype=torch.uint8)
    with torch.no_grad():
        together = rollout_map(model.backbone.attend(model.preprocess(images))[1], 48, 48)
        single = [rollout_map(model.backbone.attend(model.preprocess(i[None]))[1], 48, 48) for i in images]
    assert torch.allclose(together, torch.cat(single), atol=1e-5)
    assert float(together.amax()) <= 1 + 1e-6
    assert float(together.min()) >= 0


@pytest.mark.parametrize("name", ["vit", "compact-vit"])
def test_written_out_attention_gives_the_same_features(name: str) -> None:
    model = build_model(ModelRecipe(name=name, width=32, depth=2, heads=2)).eval()  # type: ignore[arg-type]
    pixels = model.preprocess(torch.randint(0, 256, (3, 48, 48), dtype=torch.uint8))
    with torch.no_grad():
        assert torch.allclose(model.backbone(pixels), model.backbone.attend(pixels)[0], atol=1e-5)
