"""Masked pretraining: first, once, the same when it was killed."""

import json
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from components.dataset import Dataset
from components.errors import RecipeError, TrainingError
from components.models.build import build_model
from components.training.device import choose_device
from components.training.energy import Unknown
from components.training.pretrain import MaskedAutoencoder, pretrain
from components.training.recipes import load_preset, override, tiny
from components.training.records import PretrainRecipe
from components.training.train import Job, train
from tests.training.conftest import arguments, run, torchrun, weights


@pytest.mark.parametrize("preset", ["compact", "quick"])
def test_pretraining_comes_first_and_is_not_repeated(preset: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    recipe = override(tiny(load_preset(preset)), ["pretrain.epochs=2", "epochs=1"])
    said: list[str] = []
    train(Job(preset, recipe, tiny_dataset.root, tmp_path / "run"), said.append)
    lines = [json.loads(line) for line in (tmp_path / "run" / "pretrain.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[1]["loss"] < lines[0]["loss"]
    for name in ("summary.json", "model.safetensors"):
        (tmp_path / "run" / name).rename(tmp_path / name)
    train(Job(preset, recipe, tiny_dataset.root, tmp_path / "run"), said.append)
    assert any("pretraining is done" in line for line in said)
    first, second = load_file(tmp_path / "model.safetensors"), weights(tmp_path / "run")
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", ["vit", "compact-vit"])
def test_the_encoder_never_sees_a_masked_patch(name: str) -> None:
    """Other pixels behind the mask change the target, never what the encoder gives."""
    model = build_model(override(tiny(load_preset("quick")), [f"model.name={name}"]).model).eval()
    auto = MaskedAutoencoder(model, PretrainRecipe(epochs=1, width=16)).eval()
    auto.preprocess = torch.nn.Sequential()  # per-image statistics would carry the hidden pixels along
    seen: list[torch.Tensor] = []
    auto.enter.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    pixels = torch.rand(4, model.preprocess.channels, 32, 32)
    for changed in (pixels, pixels + torch.rand_like(pixels)):
        torch.manual_seed(0)
        visible = torch.rand(4, 16).argsort(1)[:, :6]
        shown = torch.zeros(4, 16).scatter(1, visible, 1.0).reshape(4, 1, 4, 4)
        kept = torch.nn.functional.interpolate(shown, scale_factor=8)
        torch.manual_seed(0)
        auto(pixels * kept + changed * (1 - kept))
    assert torch.allclose(seen[0], seen[1], atol=1e-5)


@pytest.mark.parametrize("name", ["vit", "compact-vit"])
def test_the_loss_is_what_a_plain_loop_gives(name: str) -> None:
    """Face by face, patch by patch: what the decoder is given where, what it must fill in, which patches count."""
    torch.manual_seed(0)
    model = build_model(override(tiny(load_preset("quick")), [f"model.name={name}"]).model)
    auto = MaskedAutoencoder(model, PretrainRecipe(epochs=1, width=16, mask=0.6)).eval()
    torch.nn.init.normal_(auto.missing)
    shown, given, tokens = [], [], auto.backbone.tokens

    def watched(pixels: torch.Tensor) -> torch.Tensor:
        shown.append(pixels)
        return tokens(pixels)

    auto.backbone.tokens = watched
    auto.decoder.register_forward_hook(lambda _, inputs, __: given.append(inputs[0]))
    faces = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        loss = auto(faces)
        pixels, guesses = auto.preprocess(faces)[:, 0], auto.leave(auto.decoder(given[0]))
        errors = []
        for face in range(3):
            corners = [(top, left) for top in (0, 8, 16, 24) for left in (0, 8, 16, 24)]
            hidden = [not shown[0][face, :, top : top + 8, left : left + 8].any() for top, left in corners]
            assert sum(hidden) == 10  # 0.6 of 16
            seen = [0, *(1 + n for n in range(16) if not hidden[n])]
            encoded = auto.enter(auto.backbone.encode(tokens(shown[0][face : face + 1])[:, seen]))[0]
            for n, (top, left) in enumerate(corners):
                content = auto.missing[0, 0] if hidden[n] else encoded[seen.index(n + 1)]
                assert torch.allclose(given[0][face, n + 1], content + auto.positions[0, n + 1], atol=1e-5)
                if hidden[n]:
                    patch = [float(pixels[face, y, x]) for y in range(top, top + 8) for x in range(left, left + 8)]
                    mean, deviation = statistics.mean(patch), statistics.stdev(patch)
                    wanted = [(value - mean) / (deviation + 1e-3) for value in patch]
                    guess = guesses[face, n + 1].tolist()
                    errors.append(statistics.mean((g - w) ** 2 for g, w in zip(guess, wanted, strict=True)))
    assert float(loss) == pytest.approx(statistics.mean(errors), rel=1e-5)


def test_trainings_that_pretrain_the_same_do_so_once(tiny_dataset: Dataset, tmp_path: Path) -> None:
    shared, said = tmp_path / "shared", []

    def trained(name: str, *assignments: str) -> tuple[str, dict[str, torch.Tensor]]:
        said.clear()
        recipe = override(tiny(load_preset("quick")), ["precision=fp32", "pretrain.epochs=2", "epochs=1", *assignments])
        job = Job("quick", recipe, tiny_dataset.root, tmp_path / name, shared=None if "alone" in name else shared)
        train(job, said.append)
        return " ".join(said), weights(tmp_path / name)

    first, _ = trained("first")
    assert "pretraining, epoch 2 of 2" in first
    second, ours = trained("second", "optimizer.lr=1e-3", "regime=partial")
    assert "pretraining is done" in second
    assert "pretraining, epoch" not in second
    _, alone = trained("alone", "optimizer.lr=1e-3", "regime=partial")
    assert all(torch.equal(ours[name], alone[name]) for name in alone), "as if it had pretrained by itself"
    assert (tmp_path / "second" / "pretrain.jsonl").read_text() == (tmp_path / "first" / "pretrain.jsonl").read_text()
    for number, other in enumerate(("seed=1", "pretrain.mask=0.5", "model.depth=1", "data.validation_share=0.3")):
        words, _ = trained(f"other-{number}", other)
        assert "pretraining, epoch 2 of 2" in words, other
    assert len(list(shared.iterdir())) == 5
    assert not list(shared.rglob("*.tmp"))


def test_a_convolutional_network_has_nothing_to_pretrain_by_masks(tiny_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="has no tokens"):
        run(tiny_dataset, tmp_path / "run", "pretrain.epochs=1", preset="quick-resnet18")


@pytest.mark.e2e
def test_two_processes_pretrain_as_one(tiny_dataset: Dataset, tmp_path: Path) -> None:
    """Each by itself, from the same seed: none waits for the other for longer than a collective may."""
    sets = ("--set", "epochs=1", "--set", "pretrain.epochs=2")
    found = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        done = torchrun(tiny_dataset, out, processes, *sets)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("pretraining, epoch 2 of 2") == 1
        found.append(load_file(out / "pretrained.safetensors"))
    alone, shared = found
    assert max(float((alone[name] - shared[name]).abs().max()) for name in alone) < 1e-5


def test_pretraining_rejects_a_network_it_cannot_mask(tmp_path: Path) -> None:
    recipe = override(tiny(load_preset("quick-vgg16")), ["pretrain.epochs=1"])
    images = np.zeros((4, 48, 48), np.uint8)
    with pytest.raises(RecipeError, match="VGG"):
        pretrain(build_model(recipe.model), images, recipe, choose_device("fp32"), tmp_path, True, Unknown(), print)


@pytest.mark.e2e
@pytest.mark.parametrize("epochs", [1, 2])
def test_a_pretraining_killed_after_an_epoch_ends_the_same(epochs: int, tiny_dataset: Dataset, tmp_path: Path) -> None:
    sets = ("--set", "epochs=1", "--set", "pretrain.epochs=3", "--set", "augment.rotation=15")
    for name in ("whole", "killed"):
        command = [sys.executable, *arguments(tiny_dataset, tmp_path / name, *sets)]
        if name == "killed":
            stopped = [sys.executable, "-c", KILLED.replace("{epochs}", str(epochs)), *command[3:]]
            assert subprocess.run(stopped, capture_output=True).returncode == -signal.SIGKILL
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert f"pretraining goes on after epoch {epochs}" in done.stdout
    assert f"pretraining, epoch {epochs} of 3" not in done.stdout
    first, second = (load_file(tmp_path / name / "pretrained.safetensors") for name in ("whole", "killed"))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    lines = (tmp_path / "killed" / "pretrain.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    first, second = (weights(tmp_path / name) for name in ("whole", "killed"))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


KILLED = """
import os, signal, sys
from components.training import pretrain
from components.training.__main__ import main
keep = pretrain._keep
def kept(path, auto, optimizer, device, lines):
    keep(path, auto, optimizer, device, lines)
    if len(lines) == {epochs}:
        os.kill(os.getpid(), signal.SIGKILL)
pretrain._keep = kept
sys.exit(main())
"""


def test_a_state_that_cannot_be_read_is_said_and_the_pretraining_begins_again(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    state, said = tmp_path / "run" / "checkpoints" / "pretraining.pt", []
    state.parent.mkdir(parents=True)
    state.write_bytes(b"half of it")
    recipe = override(tiny(load_preset("quick")), ["precision=fp32", "pretrain.epochs=1", "epochs=1"])
    train(Job("quick", recipe, tiny_dataset.root, tmp_path / "run"), said.append)
    assert any("pretraining.pt cannot be read and is skipped" in line for line in said)
    assert any("pretraining, epoch 1 of 1" in line for line in said)


def test_a_disk_that_is_full_leaves_the_epoch_before(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = override(tiny(load_preset("quick")), ["precision=fp32", "pretrain.epochs=3", "epochs=1"])
    job, said, save = Job("quick", recipe, tiny_dataset.root, tmp_path / "run"), [], torch.save

    def full(kept: dict[str, Any], path: Path) -> None:
        if len(kept["lines"]) == 2:
            path.write_bytes(b"half of it")
            raise OSError(28, "No space left on device")
        save(kept, path)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match=r"epoch 2 of the pretraining could not be written.*No space left"):
        train(job, said.append)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["pretraining.pt"]
    monkeypatch.undo()
    train(job, said.append)
    assert "pretraining goes on after epoch 1" in said
