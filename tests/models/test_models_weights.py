"""Weights from timm's, torchvision's and transformers' files, against those libraries' own networks."""

from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision.models import ResNet18_Weights, VisionTransformer, resnet18
from transformers import ViTConfig, ViTForImageClassification, ViTModel

from components.errors import ModelNotFound
from components.models.build import build_model
from components.models.records import ModelName, ModelRecipe

SIZE = {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 2, "num_heads": 1}


def features(file: Path, pixels: torch.Tensor) -> torch.Tensor:
    model = build_model(ModelRecipe(name="vit", pretrained=str(file), image_size=32)).eval()
    with torch.no_grad():
        return model.backbone(pixels)


def test_a_timm_file_gives_timms_features(tmp_path: Path) -> None:
    network = timm.models.vision_transformer.VisionTransformer(**SIZE, num_classes=10).eval()
    torch.save(network.state_dict(), tmp_path / "timm.pth")
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = network.forward_features(pixels)[:, 0]
    assert torch.allclose(features(tmp_path / "timm.pth", pixels), expected, atol=1e-5)


def test_a_torchvision_file_gives_torchvisions_features(tmp_path: Path) -> None:
    network = VisionTransformer(32, 8, 2, 1, 64, 128).eval()
    save_file(network.state_dict(), tmp_path / "torchvision.safetensors")
    pixels = torch.randn(2, 3, 32, 32)
    network.heads = torch.nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        expected = network(pixels)
    assert torch.allclose(features(tmp_path / "torchvision.safetensors", pixels), expected, atol=1e-5)


def test_a_transformers_file_may_carry_a_prefix_and_a_head(tmp_path: Path) -> None:
    config = ViTConfig(image_size=32, patch_size=8, hidden_size=64, num_hidden_layers=2, num_attention_heads=1,
                       intermediate_size=128, layer_norm_eps=1e-6)  # fmt: skip
    network = ViTModel(config, add_pooling_layer=False).eval()
    state = {f"vit.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": {**state, "classifier.weight": torch.zeros(3, 64)}}, tmp_path / "vit.bin")
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = network(pixels).last_hidden_state[:, 0]
    assert torch.allclose(features(tmp_path / "vit.bin", pixels), expected, atol=1e-5)


@pytest.mark.parametrize("form", [ViTModel, ViTForImageClassification])
def test_a_file_that_transformers_saved_gives_its_features(
    form: type[ViTModel] | type[ViTForImageClassification], tmp_path: Path
) -> None:
    config = ViTConfig(image_size=32, patch_size=8, hidden_size=64, num_hidden_layers=2, num_attention_heads=1,
                       intermediate_size=128, layer_norm_eps=1e-6)  # fmt: skip
    network = form(config).eval()
    network.save_pretrained(tmp_path)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = getattr(network, "vit", network)(pixels).last_hidden_state[:, 0]
    assert torch.allclose(features(tmp_path / "model.safetensors", pixels), expected, atol=1e-5)


def test_positions_are_interpolated_to_another_size(tmp_path: Path) -> None:
    network = VisionTransformer(32, 8, 2, 1, 64, 128)
    torch.save(network.state_dict(), tmp_path / "vit.pt")
    model = build_model(ModelRecipe(name="vit", pretrained=str(tmp_path / "vit.pt"), image_size=48)).eval()
    faces = torch.randint(0, 256, (2, 48, 48), dtype=torch.uint8)
    assert model(faces).shape == (2, 7)
    assert model.backbone.attend(model.preprocess(faces))[1][0].shape[-1] == 1 + 36


def test_a_mismatch_names_the_first_tensors_that_differ(tmp_path: Path) -> None:
    state = resnet18().state_dict()
    state["layer1.0.conv1.weight"] = state["layer1.0.conv1.weight"][:32].clone()
    del state["bn1.weight"]
    torch.save(state, tmp_path / "resnet.pth")
    with pytest.raises(ModelNotFound) as raised:
        build_model(ModelRecipe(name="resnet18", pretrained=str(tmp_path / "resnet.pth")))
    assert "2 tensors differ: bn1.weight is missing; layer1.0.conv1.weight is [32, 64, 3, 3]" in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"no tensors", b"PK\x03\x04broken"])
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_file_without_tensors_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelNotFound, match=name):
        build_model(ModelRecipe(name="vit", pretrained=str(tmp_path / name)))


@pytest.mark.parametrize("name", ["compact-vit", "resnet18", "vgg16"])
def test_training_goes_on_from_a_finished_run(name: ModelName, tmp_path: Path) -> None:
    recipe = ModelRecipe(name=name, width=32, depth=1, heads=2, cnn_width=0.0625)
    before = build_model(recipe)
    half = {k: v.half() if v.is_floating_point() else v for k, v in before.state_dict().items()}  # as releases keep it
    save_file({k: v.contiguous() for k, v in half.items()}, tmp_path / "model.safetensors")
    after = build_model(replace(recipe, pretrained=str(tmp_path))).state_dict()
    assert all(torch.allclose(value.float(), after[k].float(), atol=1e-3) for k, value in before.state_dict().items())
    with pytest.raises(ModelNotFound, match="tensors differ"):
        build_model(replace(recipe, pretrained=str(tmp_path), head_hidden=17))


def test_a_folder_that_is_no_run_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no finished run: it lacks model.safetensors"):
        build_model(ModelRecipe(pretrained=str(tmp_path)))


def test_another_networks_weights_are_refused_by_name(tmp_path: Path) -> None:
    torch.save(resnet18().state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(ModelNotFound, match="no ViT's state dict"):
        build_model(ModelRecipe(name="vit", pretrained=str(tmp_path / "resnet.pth")))


def test_a_vit_without_layers_is_refused_by_what_it_lacks(tmp_path: Path) -> None:
    config = ViTConfig(image_size=32, patch_size=8, hidden_size=64, num_hidden_layers=0)
    torch.save(ViTModel(config, add_pooling_layer=False).state_dict(), tmp_path / "vit.pt")
    with pytest.raises(ModelNotFound, match=r"it lacks 'layers\.0\.mlp\.fc1\.weight'; it begins with embeddings"):
        build_model(ModelRecipe(name="vit", pretrained=str(tmp_path / "vit.pt")))


@pytest.mark.parametrize("size", [48, 96, 224])
@pytest.mark.parametrize("channels", [1, 3])
def test_preprocessing_equals_the_image_processor_on_float_images(size: int, channels: int) -> None:
    """On uint8 ones the processor rounds to whole gray levels in between; tests/models/test_models_build.py."""
    from transformers import ViTImageProcessor

    faces = torch.rand(2, channels, 48, 48) * 255
    processor = ViTImageProcessor(size={"height": size, "width": size})
    reference = processor(faces.expand(-1, 3, -1, -1), return_tensors="pt")["pixel_values"]
    preprocess = build_model(ModelRecipe(name="vit", width=32, depth=1, heads=2, image_size=size)).preprocess
    ours = preprocess(faces.squeeze(1))
    assert float((ours - reference).abs().max()) < 1e-5


def test_torchvisions_weights_are_taken_by_name_from_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = resnet18(weights=None)
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(reference.state_dict(), cache / "resnet18-f37072fd.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = build_model(ModelRecipe(name="resnet18", pretrained="IMAGENET1K_V1"))
    assert torch.equal(model.backbone.layer4[1].conv2.weight, reference.layer4[1].conv2.weight)  # type: ignore[union-attr]


def test_a_site_that_cannot_be_reached_is_one_error_with_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(ResNet18_Weights.IMAGENET1K_V1.value, "url", "http://127.0.0.1:9/resnet18.pth")
    with pytest.raises(ModelNotFound, match=r"cannot fetch http://127.0.0.1:9/.*model.pretrained"):
        build_model(ModelRecipe(name="resnet18", pretrained="IMAGENET1K_V1"))
    with pytest.raises(ModelNotFound, match=r"no weight file IMAGENET.*IMAGENET1K_V1"):
        build_model(ModelRecipe(name="resnet18", pretrained="IMAGENET"))
