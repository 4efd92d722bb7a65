"""Build any network by name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

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


def _vit(recipe: ModelRecipe) -> FaceModel:
    vit = build_vit(recipe)
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
