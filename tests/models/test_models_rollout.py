"""Attention rollout against the full matrix product and its invariants, and what its benchmark compares."""

from pathlib import Path

import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.rollout import onnx_ways
from components.errors import ModelNotFound
from components.models import ModelRecipe
from components.models.build import build_model
from components.models.relevance import Method, class_map
from components.models.rollout import Fusion, cls_rollout, fuse, heat_map, rollout_map, without_weakest

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


@given(seed=st.integers(0, 10_000), discard=st.floats(0.05, 0.95))
@settings(max_examples=25, deadline=None)
def test_discarding_spares_the_cls_row_and_works_in_every_image_by_itself(seed: int, discard: float) -> None:
    fused = attentions(seed, layers=1, batch=3)[0].mean(1)
    cut = without_weakest(fused, discard)
    assert torch.equal(cut[:, 0], fused[:, 0])
    for before, after in zip(fused[:, 1:], cut[:, 1:], strict=True):
        gone = (after == 0) & (before != 0)
        assert int(gone.sum()) == int(discard * before.numel())
        assert torch.equal(after[~gone], before[~gone])
        if gone.any() and not gone.all():
            assert before[gone].max() <= before[~gone].min()


@given(seed=st.integers(0, 10_000), discard=st.floats(0.0, 0.9))
@settings(max_examples=25, deadline=None)
def test_rows_sum_to_one_after_discarding(seed: int, discard: float) -> None:
    rows = cls_rollout(attentions(seed), "max", discard).sum(-1)
    assert torch.allclose(rows, torch.ones(2, dtype=torch.float64))


def small(name: str, seed: int = 0):
    torch.manual_seed(seed)
    return build_model(ModelRecipe(name=name, width=32, depth=3, heads=2)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["vit", "compact-vit"])
@pytest.mark.parametrize("method", ["gradient-rollout", "relevance"])
def test_a_map_for_a_class_is_the_one_of_a_single_call_and_depends_on_the_class(name: str, method: Method) -> None:
    model, images = small(name), torch.randint(0, 256, (3, 48, 48), dtype=torch.uint8)
    together = class_map(model, images, torch.tensor([1, 2, 3]), method)
    alone = torch.cat(
        [class_map(model, i[None], torch.tensor([c]), method) for i, c in zip(images, (1, 2, 3), strict=True)]
    )
    assert torch.allclose(together, alone, atol=1e-4)
    assert together.shape == (3, 48, 48)
    assert not torch.allclose(together, class_map(model, images, torch.tensor([4, 5, 6]), method), atol=1e-3)


@pytest.mark.parametrize("name", ["vit", "compact-vit"])
def test_relevance_equals_the_full_recursion_of_its_paper(name: str) -> None:
    model, images = small(name), torch.randint(0, 256, (2, 48, 48), dtype=torch.uint8)
    features, layers = model.backbone.attend(model.preprocess(images))
    logits = model.head(features)
    gradients = torch.autograd.grad(logits.max(1).values.sum(), layers)
    joint = torch.eye(layers[0].shape[-1]).expand(2, -1, -1)
    for attention, gradient in zip(layers, gradients, strict=True):
        joint = joint + (attention * gradient).clamp_min(0).mean(1) @ joint
    expected = heat_map(joint[:, 0, 1:], 48, 48)
    assert (class_map(model, images) - expected).abs().max() < 1e-5


def test_a_network_without_attention_says_so() -> None:
    with pytest.raises(ModelNotFound, match="no attention"):
        class_map(build_model(ModelRecipe(name="resnet18")).eval(), torch.zeros(1, 48, 48, dtype=torch.uint8))


@pytest.mark.parametrize("name", ["vit", "compact-vit"])
@pytest.mark.parametrize("size", [32, 64, 96])
def test_the_map_has_the_size_of_the_face_at_any_size_of_the_network(name: str, size: int) -> None:
    model = build_model(ModelRecipe(name=name, width=32, depth=2, heads=2, image_size=size)).eval()  # type: ignore[arg-type]
    images = torch.randint(0, 256, (2, 40, 56), dtype=torch.uint8)
    heat = rollout_map(model.backbone.attend(model.preprocess(images))[1], 40, 56)
    assert heat.shape == (2, 40, 56)
    assert torch.allclose(heat.amax((1, 2)), torch.ones(2), atol=0.35)


@pytest.mark.parametrize("name", ["vit", "compact-vit"])
def test_the_benchmarks_two_graphs_differ_by_the_map_alone(name: str, tmp_path: Path) -> None:
    """Node by node: attention in another form would be counted as the map's cost, or its gain."""
    images = torch.randint(0, 256, (3, 48, 48), dtype=torch.uint8)
    answers = {way: run() for way, run in onnx_ways(small(name), images, tmp_path).items()}
    assert [shown.shape[1:] for shown in answers["with"]] == [(7,), (32,), (48, 48)]
    assert all((a == b).all() for a, b in zip(answers["without"], answers["with"][:2], strict=True))
    without, whole = ([str(node) for node in onnx.load(tmp_path / f"{way}.onnx").graph.node] for way in answers)
    assert set(without) < set(whole)
