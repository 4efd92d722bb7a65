"""Weights copied into the store, and recipes that name them there."""

import json
from pathlib import Path

import pytest
from transformers import ViTConfig, ViTModel

from components.dataset import Dataset
from components.errors import ModelNotFound
from components.training.recipes import load_preset, override, tiny
from components.training.train import Job, train
from flows.places import excluded_digest, places
from flows.weights import mirror


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "vit-small"
    config = ViTConfig(
        image_size=32, patch_size=8, hidden_size=64, num_hidden_layers=2, num_attention_heads=1, intermediate_size=64
    )
    ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def test_a_mirrored_model_is_named_by_its_weights_and_trains(
    hub_folder: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    uri = mirror(str(hub_folder))
    assert uri == mirror(str(hub_folder))
    assert Path(uri).name.startswith("vit-small-")
    recipe = override(tiny(load_preset("vit-partial")), [f"model.pretrained={uri}", "epochs=1"])
    summary = train(
        Job("vit-partial", recipe, tiny_dataset.root, tmp_path / "run", places=places(recipe)), lambda _: None
    )
    assert json.loads((Path(uri) / "config.json").read_text())["hidden_size"] == 64
    assert summary.parameters > 64 * 64 * 4 * 2


def test_a_folder_without_weights_is_not_mirrored(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFound, match=r"lacks config.json and model.safetensors"):
        mirror(str(tmp_path / "empty"))


def test_a_list_that_changes_under_its_name_changes_the_cache_key(tmp_path: Path) -> None:
    recipe = override(load_preset("quick"), [f"data.exclude={tmp_path / 'list.csv'}"])
    assert excluded_digest(recipe) == ""
    (tmp_path / "list.csv").write_text("id\na\n")
    first = excluded_digest(recipe)
    (tmp_path / "list.csv").write_text("id\nb\n")
    assert first
    assert first != excluded_digest(recipe)
