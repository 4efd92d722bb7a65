"""A network's trainable parts in order, pixels first: what freezing and layer-wise rates go by."""

from torch import nn
from torchvision.models import VGG, ResNet

from components.models.base import FaceModel
from components.models.compact import CompactViT
from components.models.vit import ViTBackbone

Stage = list[nn.Parameter]


def stages(model: FaceModel) -> list[Stage]:
    """Parameters by stage: stem, blocks, and last the head; together every parameter once.

    A transformer's block is a layer, its final norm belongs to the last one; ResNet's is a group of residual blocks
    (`layer1` to `layer4`); VGG's is what lies between two poolings, then its classifier.
    """
    backbone = model.backbone
    match backbone:
        case CompactViT():
            blocks = [_of(layer) for layer in backbone.layers]
            blocks[-1] += _of(backbone.norm)
        case ViTBackbone():
            blocks = [_of(layer) for layer in backbone.vit.layers]
            blocks[-1] += _of(backbone.vit.layernorm)
        case ResNet():
            blocks = [_of(getattr(backbone, f"layer{i}")) for i in range(1, 5)]
        case VGG():
            blocks = [*_between_poolings(backbone.features), _of(backbone.classifier)]
        case _:
            raise TypeError(f"{type(backbone).__name__} has no stages")
    seen = {id(p) for block in blocks for p in block}
    stem = [p for p in backbone.parameters() if id(p) not in seen]
    return [part for part in (stem, *blocks, _of(model.head)) if part]


def _of(module: nn.Module) -> Stage:
    return list(module.parameters())


def _between_poolings(features: nn.Sequential) -> list[Stage]:
    parts: list[Stage] = [[]]
    for layer in features:
        if isinstance(layer, nn.MaxPool2d):
            parts.append([])
        parts[-1] += _of(layer)
    return [part for part in parts if part]


def freeze_below(model: FaceModel, top: int) -> list[nn.Module]:
    """Take all but the head and the `top` stages below it out of training.

    Returns the frozen modules, which have to stay in evaluation mode: a batch norm that is not trained keeps its
    statistics, a dropout below frozen weights would only add noise.
    """
    parts = stages(model)
    trained = {id(p) for part in parts[max(0, len(parts) - 1 - top) :] for p in part}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in trained)
    return [
        module
        for module in model.backbone.modules()
        if (own := list(module.parameters())) and not any(id(p) in trained for p in own)
    ]
