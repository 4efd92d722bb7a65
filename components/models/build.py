"""Build any network by name, write it to a file, and open that file again."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import ViTConfig, ViTModel

from components.errors import ModelNotFound, RecipeError
from components.models.base import FaceModel, Normalisation, Preprocess
from components.models.cnn import build_resnet18, build_vgg16
from components.models.compact import REDUCTION, CompactViT
from components.models.records import ModelRecipe
from components.models.vit import ViTBackbone, build_vit
from components.models.weights import read_state, require_fit

RUN_WEIGHTS = "model.safetensors"
"""File of a finished run, or of a release, that holds its whole network."""

# torchvision's ImageNet weights expect the mean and deviation of ImageNet, here those of its gray images.
IMAGENET = Normalisation(0.449, 0.226)

VIT_CONFIG = "vit_config"
"""In the metadata of a written ViT: what its first weights decided, as transformers' config.json has it."""


def _vit(recipe: ModelRecipe) -> FaceModel:
    return _around(build_vit(recipe), recipe)


def _around(vit: ViTModel, recipe: ModelRecipe) -> FaceModel:
    preprocess = Preprocess(recipe.image_size, 3, Normalisation())  # ViTImageProcessor's mean and deviation: 0.5
    return FaceModel(preprocess, ViTBackbone(vit), vit.config.hidden_size, recipe.head_hidden, recipe.dropout)


def _compact(recipe: ModelRecipe) -> FaceModel:
    if recipe.image_size % REDUCTION:
        raise RecipeError(
            f"compact-vit needs an image_size that is a multiple of {REDUCTION}, not {recipe.image_size}."
        )
    preprocess = Preprocess(recipe.image_size, 1, Normalisation(per_image=True))
    return FaceModel(preprocess, CompactViT(recipe), recipe.width, recipe.head_hidden, recipe.dropout)


def _cnn(build: Callable[[ModelRecipe], tuple[nn.Module, int]]) -> Callable[[ModelRecipe], FaceModel]:
    def built(recipe: ModelRecipe) -> FaceModel:
        backbone, features = build(recipe)
        preprocess = Preprocess(recipe.image_size, 3, Normalisation(per_image=True) if recipe.cnn_small else IMAGENET)
        return FaceModel(preprocess, backbone, features, recipe.head_hidden, recipe.dropout)

    return built


MODELS: dict[str, Callable[[ModelRecipe], FaceModel]] = {
    "vit": _vit,
    "compact-vit": _compact,
    "resnet18": _cnn(build_resnet18),
    "vgg16": _cnn(build_vgg16),
}


def build_model(recipe: ModelRecipe) -> FaceModel:
    """The network of a recipe, weights loaded or drawn from torch's global seed; raises RecipeError, ModelNotFound."""
    if recipe.name == "vit" or not _is_run(recipe):
        return MODELS[recipe.name](recipe)
    model = MODELS[recipe.name](replace(recipe, pretrained=""))
    state = read_state(Path(recipe.pretrained) / RUN_WEIGHTS)
    require_fit(model.state_dict(), state, recipe.pretrained)
    model.load_state_dict(state)
    return model


def save_model(model: FaceModel, file: Path) -> None:
    """Write a network's tensors; of a ViT also what its first weights decided, which need not outlive it."""
    config = model.backbone.vit.config if isinstance(model.backbone, ViTBackbone) else None
    metadata = {VIT_CONFIG: config.to_json_string(use_diff=False)} if config else None
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, file, metadata)


def reopen_model(recipe: ModelRecipe, file: Path) -> FaceModel:
    """A written network again, by its recipe and without the weights it began with.

    Only a ViT whose file does not hold its configuration needs them; raises ModelNotFound where they cannot be had.
    """
    with safe_open(file, "pt") as opened:
        config = (opened.metadata() or {}).get(VIT_CONFIG)
    if config:
        model = _around(ViTModel(ViTConfig.from_dict(json.loads(config)), add_pooling_layer=False), recipe)
    else:
        model = build_model(recipe if recipe.name == "vit" else replace(recipe, pretrained=""))
    model.load_state_dict(load_file(file))
    return model


def _is_run(recipe: ModelRecipe) -> bool:
    """Whether training goes on from a run of ours; `compact-vit` has no other weights to begin with."""
    if not recipe.pretrained or (Path(recipe.pretrained) / RUN_WEIGHTS).is_file():
        return bool(recipe.pretrained)
    if recipe.name == "compact-vit":
        raise ModelNotFound(
            f"{recipe.pretrained} is no finished run: it lacks {RUN_WEIGHTS}. Name the folder of a run with this "
            "network, or leave model.pretrained empty."
        )
    return False
