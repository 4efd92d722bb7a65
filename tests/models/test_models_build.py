"""Networks: shapes, preprocessing, weights from a folder in the hub's layout, ONNX export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor, ViTModel

from components.dataset import Dataset
from components.errors import ModelNotFound, RecipeError
from components.models import ModelRecipe
from components.models.build import MODELS, build_model
from components.models.export import Exported, export_onnx


def small(name: str, **changes: object) -> ModelRecipe:
    settings = {"width": 32, "depth": 2, "heads": 2, "head_hidden": 16, "cnn_width": 0.125, **changes}
    return ModelRecipe(name=name, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [48, 96])
def test_every_network_maps_raw_pixels_of_any_size_to_seven_logits(name: str, size: int) -> None:
    images = torch.randint(0, 256, (2, size, size), dtype=torch.uint8)
    assert build_model(small(name)).eval()(images).shape == (2, 7)


@pytest.mark.parametrize(("name", "features"), [("resnet18", 512), ("vgg16", 512)])
@pytest.mark.parametrize("size", [48, 64])
def test_a_cnn_for_small_faces_keeps_the_places_that_its_published_form_throws_away(
    name: str, features: int, size: int
) -> None:
    backbone = build_model(small(name, cnn_small=True, image_size=size)).backbone
    last = backbone.layer4 if name == "resnet18" else backbone.features
    seen: list[torch.Size] = []
    last.register_forward_hook(lambda _, __, output: seen.append(output.shape))
    assert backbone(torch.zeros(2, 3, size, size)).shape == (2, features)
    assert seen[0][2:] == (size // 16, size // 16)


@pytest.mark.parametrize("name", ["resnet18", "vgg16"])
def test_a_cnn_for_small_faces_answers_alike_in_any_light(name: str) -> None:
    model = build_model(small(name, cnn_small=True)).eval()
    faces = torch.randint(60, 120, (2, 48, 48)).float()
    assert torch.allclose(model(faces), model(faces * 2 - 30), atol=0.02)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_constant_image_gives_finite_logits(name: str, level: int) -> None:
    assert build_model(small(name)).eval()(torch.full((1, 48, 48), level, dtype=torch.uint8)).isfinite().all()


@pytest.mark.parametrize("name", [*MODELS, "resnet18-small", "vgg16-small"])
def test_the_exported_graph_equals_torch_on_real_faces_for_any_batch(
    name: str, tmp_path: Path, tiny_dataset: Dataset
) -> None:
    torch.manual_seed(0)
    model = build_model(small(name.removesuffix("-small"), cnn_small=name.endswith("-small"))).eval()
    export_onnx(model, 1.7, 48, 48, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for batch in (1, 2, 5, 64):
        images = np.array(tiny_dataset.images[:batch])
        outputs = session.run(None, {"images": images})
        with torch.no_grad():
            expected = Exported(model, 1.7).eval()(torch.from_numpy(images))
        differences = [float(np.abs(a - b.numpy()).max()) for a, b in zip(outputs, expected, strict=True)]
        assert max(differences) < 1e-4, differences


@pytest.mark.parametrize(("size", "slack"), [(48, 1e-6), (96, 1e-6), (224, 1e-5)])
@pytest.mark.parametrize("channels", [1, 3])
def test_vit_preprocessing_equals_the_image_processor(size: int, slack: float, channels: int) -> None:
    faces = torch.randint(0, 256, (2, channels, 48, 48), dtype=torch.uint8)
    processor = ViTImageProcessor(size={"height": size, "width": size})
    reference = processor(faces.expand(-1, 3, -1, -1), return_tensors="pt")["pixel_values"]
    ours = build_model(small("vit", image_size=size)).preprocess(faces.squeeze(1))
    # The processor rounds to whole gray levels after each of its two passes: up to one level of 255, on a scale of 2.
    assert float((ours - reference).abs().max()) <= 2 / 255 + slack


@pytest.fixture
def hub_folder(tmp_path: Path) -> Path:
    """A ViT of two layers in the hub's layout, as published ones are: with a classification head."""
    config = ViTConfig(image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                       intermediate_size=64)  # fmt: skip
    ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> ModelRecipe:
    """Change the folder's tensors; a recipe that begins with them."""
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    return ModelRecipe(name="vit", pretrained=str(folder), image_size=48)


def test_a_local_folder_in_the_hubs_layout_gives_its_weights(hub_folder: Path) -> None:
    saved = ViTModel.from_pretrained(hub_folder, add_pooling_layer=False)
    model = build_model(rewrite(hub_folder, dict))
    loaded = model.backbone.vit.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in saved.state_dict().items())
    assert model.eval()(torch.zeros(1, 48, 48, dtype=torch.uint8)).shape == (1, 7)  # positions are interpolated


@pytest.mark.parametrize("kept", [torch.float16, torch.bfloat16])
def test_a_folder_in_half_precision_is_trained_in_full(hub_folder: Path, kept: torch.dtype) -> None:
    saved = ViTModel.from_pretrained(hub_folder, add_pooling_layer=False, dtype=kept)
    saved.save_pretrained(hub_folder)
    model = build_model(ModelRecipe(name="vit", pretrained=str(hub_folder), image_size=48))
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    loaded = model.backbone.vit.state_dict()
    assert all(torch.equal(value.float(), loaded[name]) for name, value in saved.state_dict().items())
    assert model.eval()(torch.zeros(1, 48, 48, dtype=torch.uint8)).isfinite().all()


def test_a_folder_whose_layer_is_missing_is_refused_by_its_first_names(hub_folder: Path) -> None:
    recipe = rewrite(hub_folder, lambda state: {k: v for k, v in state.items() if ".layer.1." not in k})
    with pytest.raises(ModelNotFound, match=r"vit does not fit, 16 tensors differ: layers\.1\.\S+ is missing; layers"):
        build_model(recipe)


def test_a_folder_with_a_tensor_of_another_shape_is_refused_by_name_and_shapes(hub_folder: Path) -> None:
    recipe = rewrite(hub_folder, lambda state: {**state, "vit.layernorm.weight": torch.zeros(7)})
    with pytest.raises(ModelNotFound, match=r"vit does not fit, 1 tensors .* layernorm.weight is \[7\], not \[32\]"):
        build_model(recipe)


def test_a_folder_with_a_layer_more_than_its_config_says_is_refused(hub_folder: Path) -> None:
    recipe = rewrite(
        hub_folder,
        lambda state: state | {k.replace(".1.", ".2."): v.clone() for k, v in state.items() if ".layer.1." in k},
    )
    with pytest.raises(ModelNotFound, match=r"16 tensors differ: vit\.\S*\.2\.\S+ is not known"):
        build_model(recipe)


def test_a_folder_whose_tensors_cannot_be_read_is_one_error(hub_folder: Path) -> None:
    (hub_folder / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelNotFound, match=r"cannot load ViT weights .*vit"):
        build_model(ModelRecipe(name="vit", pretrained=str(hub_folder)))


def test_a_hub_that_cannot_be_reached_is_one_error_with_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFound, match="Ways out") as caught:
        build_model(ModelRecipe(name="vit", pretrained="somebody/no-such-vit"))
    assert "model.pretrained=FOLDER" in str(caught.value)


def test_a_missing_weight_folder_is_named() -> None:
    with pytest.raises(ModelNotFound, match="/nowhere"):
        build_model(ModelRecipe(name="vit", pretrained="/nowhere"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"heads": 5}, "divisible"),
        ({"heads": 0}, "model.heads is 0; it must lie between 1"),
        ({"patch_size": 0}, "model.patch_size is 0; it must lie between 1"),
        ({"dropout": 1.5}, "dropout"),
        ({"image_size": 8}, "model.image_size is 8; it must lie between 16"),
        ({"name": "vgg16", "image_size": 24}, "model.image_size is 24; it must lie between 32"),
        ({"name": "vit2"}, "one of vit, compact-vit"),
        ({"name": "vit", "drop_path": 0.1}, "stochastic depth is for compact-vit"),
    ],
)
def test_an_impossible_network_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        small(**{"name": "compact-vit", **changes})
