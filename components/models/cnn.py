"""The paper's baselines: torchvision's ResNet-18 (He et al. 2016) and VGG-16 (Simonyan & Zisserman 2015)."""

from pathlib import Path

from torch import nn
from torchvision.models import ResNet18_Weights, VGG16_Weights, WeightsEnum, resnet18
from torchvision.models.vgg import VGG, cfgs, make_layers

from components.errors import ModelNotFound
from components.models.records import ModelRecipe
from components.models.weights import State, read_state, require_fit

_LAST = ("fc.", "classifier.6")  # the layer that names ImageNet's classes


def build_resnet18(recipe: ModelRecipe) -> tuple[nn.Module, int]:
    """[B, 3, S, S] -> features [B, 512]."""
    network = resnet18(weights=None)
    if recipe.cnn_small:  # as for CIFAR (He et al. 2016, 4.2), its stride kept: two cores carry that
        network.conv1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False)
        network.maxpool = nn.Identity()
    _load(network, recipe.pretrained, ResNet18_Weights)
    network.fc = nn.Identity()
    return network, 512


def build_vgg16(recipe: ModelRecipe) -> tuple[nn.Module, int]:
    """[B, 3, S, S] -> features [B, 4096 * cnn_width].

    At 224 px and width 1 this is torchvision's network. Below, the pooling keeps the size the convolutions give
    (1x1 at 48 px) where torchvision would copy it to 7x7 and multiply the copies by 102 M weights.
    """
    side = 1 if recipe.cnn_small else max(1, recipe.image_size // 32)
    plan = [layer if isinstance(layer, str) else max(8, int(layer * recipe.cnn_width)) for layer in cfgs["D"]]
    channels, hidden = int(plan[-2]), int(4096 * recipe.cnn_width)
    network = VGG(make_layers(plan[:-1], batch_norm=True) if recipe.cnn_small else make_layers(plan))
    network.avgpool = nn.AdaptiveAvgPool2d(side)
    network.classifier = nn.Sequential(
        nn.Linear(channels * side * side, hidden), nn.ReLU(), nn.Dropout(),
        nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(), nn.Identity(),
    )  # fmt: skip
    _load(network, recipe.pretrained, VGG16_Weights)
    return network, hidden


def _load(network: nn.Module, where: str, published: type[WeightsEnum]) -> None:
    """Load a torchvision state dict, its classification layer left out; raises ModelNotFound."""
    if not where:
        return
    found = _published(published[where]) if where in published.__members__ else _file(where, published)
    state = {k: v for k, v in found.items() if not k.startswith(_LAST)}
    wanted = {k: v for k, v in network.state_dict().items() if not k.startswith(_LAST)}
    require_fit(wanted, state, where)
    network.load_state_dict(state, strict=False)


def _published(weights: WeightsEnum) -> State:
    """From torchvision's cache (TORCH_HOME), or from its site."""
    try:
        return dict(weights.get_state_dict(progress=False))
    except (OSError, RuntimeError) as error:
        raise ModelNotFound(
            f"cannot fetch {weights.url}: {error}. Fetch it elsewhere and name the file in model.pretrained, or leave "
            "that empty to train from scratch."
        ) from error


def _file(where: str, published: type[WeightsEnum]) -> State:
    if not Path(where).is_file():
        raise ModelNotFound(
            f"no weight file {where}: name a torchvision state dict or one of {', '.join(published.__members__)}, or "
            "leave model.pretrained empty."
        )
    return read_state(Path(where))
