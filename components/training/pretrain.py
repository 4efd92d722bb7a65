"""Masked autoencoding of the training images before any label is seen (He et al. 2022, arXiv 2111.06377).

The encoder sees the visible patches alone; a small decoder, thrown away afterwards, fills in the others. A network
with a convolutional stem gets its masked patches as zeros first, so that no convolution looks at what it must guess.
"""

import hashlib
import json
import math
import os
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from components.errors import RecipeError
from components.models.base import FaceModel, Tokenised
from components.models.compact import Layer
from components.models.records import ModelRecipe
from components.training.augment import augment
from components.training.device import Device
from components.training.energy import Meter
from components.training.records import AugmentRecipe, PretrainRecipe, Recipe
from components.training.runs import CHECKPOINTS, writing

WEIGHTS, METRICS, STATE = "pretrained.safetensors", "pretrain.jsonl", "pretraining.pt"
DECODER_LAYERS, DECODER_HEADS = 2, 4


class MaskedAutoencoder(nn.Module):
    """A network's backbone with a decoder: pixels in, mean squared error of the masked patches out."""

    def __init__(self, model: FaceModel, recipe: PretrainRecipe) -> None:
        super().__init__()
        if not isinstance(model.backbone, Tokenised):
            raise RecipeError(f"pretrain.epochs is {recipe.epochs}, but {type(model.backbone).__name__} has no tokens.")
        self.preprocess, self.backbone, self.mask = model.preprocess, model.backbone, recipe.mask
        side = model.preprocess.size // model.backbone.patch
        self.patches, width = side * side, model.head[0].in_features if isinstance(model.head[0], nn.Linear) else 0
        width = width or int(model.head[-1].in_features)  # type: ignore[arg-type]  # a linear head alone
        self.enter = nn.Linear(width, recipe.width)
        self.missing = nn.Parameter(torch.zeros(1, 1, recipe.width))
        self.positions = nn.Parameter(torch.randn(1, self.patches + 1, recipe.width) * 0.02)
        sizes = ModelRecipe(width=recipe.width, heads=DECODER_HEADS, mlp_ratio=4)
        self.decoder = nn.Sequential(*(Layer(sizes, drop_path=0.0) for _ in range(DECODER_LAYERS)))
        self.leave = nn.Linear(recipe.width, model.backbone.patch**2)

    def forward(self, images: Tensor) -> Tensor:
        """images: uint8 or float [B, H, W], 0-255 -> scalar."""
        pixels = self.preprocess(images)  # [B, C, S, S]
        patch = self.backbone.patch
        order = torch.rand(len(images), self.patches).argsort(1).to(pixels.device)
        seen = order[:, : max(1, round(self.patches * (1 - self.mask)))]
        visible = torch.zeros(len(images), self.patches, device=pixels.device).scatter(1, seen, 1.0)  # [B, N]
        side = round(self.patches**0.5)
        shown = F.interpolate(visible.reshape(-1, 1, side, side), scale_factor=patch)
        tokens = self.backbone.tokens(pixels * shown)
        kept = torch.cat([torch.zeros_like(seen[:, :1]), seen + 1], 1)[..., None]  # CLS stays
        encoded = self.enter(self.backbone.encode(tokens.gather(1, kept.expand(-1, -1, tokens.shape[2]))))
        full = self.missing.expand(len(images), self.patches + 1, -1).to(encoded.dtype)
        full = full.scatter(1, kept.expand(-1, -1, encoded.shape[2]), encoded)
        guessed = self.leave(self.decoder(full + self.positions))[:, 1:]  # [B, N, patch * patch]
        target = F.unfold(pixels[:, :1], patch, stride=patch).transpose(1, 2)
        deviation, mean = torch.std_mean(target, -1, keepdim=True)
        error = ((guessed - (target - mean) / (deviation + 1e-3)) ** 2).mean(-1)  # [B, N]
        hidden = 1 - visible
        loss: Tensor = (error * hidden).sum() / hidden.sum()
        return loss


def pretrain(
    model: FaceModel,
    images: npt.NDArray[np.uint8],
    recipe: Recipe,
    device: Device,
    out: Path,
    main: bool,
    meter: Meter,
    say: Callable[[str], None],
) -> None:
    """Pretrain the backbone in place, or take what an earlier call left in `out`.

    images: uint8 [N, H, W], training images alone. main: whether this process writes files. A pretraining that was
    killed goes on after its last whole epoch and ends the same. Raises TrainingError where an epoch cannot be kept.
    """
    done = out / WEIGHTS
    if done.exists():
        say(f"pretraining is done: {done}")
        model.backbone.load_state_dict(load_file(done))
        return
    auto, data = MaskedAutoencoder(model, recipe.pretrain).to(device.kind), torch.from_numpy(images).to(device.kind)
    optimizer = torch.optim.AdamW(auto.parameters(), lr=recipe.pretrain.lr, betas=(0.9, 0.95), weight_decay=0.05)
    auto.train()
    state = out / CHECKPOINTS / STATE
    lines = _resume(state, auto, optimizer, device, say) if state.exists() else []
    for epoch in range(len(lines), recipe.pretrain.epochs):
        started = time.monotonic()
        loss = _one_epoch(auto, optimizer, data, recipe, device, epoch)
        seconds, energy = time.monotonic() - started, meter.read_wh()
        known = {} if energy is None else {"energy_wh": round(energy, 4)}
        lines.append({"epoch": epoch + 1, "loss": loss, "seconds": round(seconds, 3), **known})
        say(f"pretraining, epoch {epoch + 1} of {recipe.pretrain.epochs}: loss {loss:.4f}, {seconds:.0f} s")
        if main:
            _keep(state, auto, optimizer, device, lines)
    model.backbone.to("cpu")
    if main:
        (out / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
        weights = {name: value.contiguous() for name, value in model.backbone.state_dict().items()}
        with writing("the pretrained weights", done):
            save_file(weights, out / "pretrained.tmp")
            os.replace(out / "pretrained.tmp", done)


def _one_epoch(
    auto: MaskedAutoencoder, optimizer: torch.optim.Optimizer, data: Tensor, recipe: Recipe, device: Device, epoch: int
) -> float:
    """Mean loss of a pass over the images, which trains on the way."""
    losses, steps, calm = [], math.ceil(len(data) / recipe.batch_size), _calm(recipe)
    for step, rows in enumerate(torch.split(torch.randperm(len(data)), recipe.batch_size)):
        rate = _rate(epoch + step / steps, recipe.pretrain.epochs)
        for group in optimizer.param_groups:
            group["lr"] = recipe.pretrain.lr * rate
        batch = augment(data[rows.to(device.kind)], calm, torch.zeros(len(rows), dtype=torch.bool))
        with torch.autocast(device.kind, torch.bfloat16, enabled=device.bf16):
            loss = auto(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def _keep(
    path: Path, auto: MaskedAutoencoder, optimizer: torch.optim.Optimizer, device: Device, lines: list[dict[str, Any]]
) -> None:
    """All that the next epoch depends on, in place of what the epoch before left."""
    cuda = torch.cuda.get_rng_state() if device.kind == "cuda" else None
    kept = {"network": auto.state_dict(), "optimizer": optimizer.state_dict(), "lines": lines}
    temporary = path.with_suffix(".tmp")
    try:
        with writing(f"epoch {len(lines)} of the pretraining", path):
            path.parent.mkdir(exist_ok=True)
            torch.save({**kept, "random": torch.get_rng_state(), "cuda": cuda}, temporary)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _resume(
    path: Path, auto: MaskedAutoencoder, optimizer: torch.optim.Optimizer, device: Device, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Lines of the epochs that are done; none, and a warning, where the file cannot be read."""
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file cut short raises whatever its bytes happen to mean
        say(f"warning: {path} cannot be read and is skipped ({type(error).__name__})")
        return []
    auto.load_state_dict(kept["network"])
    optimizer.load_state_dict(kept["optimizer"])
    torch.set_rng_state(kept["random"])
    if device.kind == "cuda":
        torch.cuda.set_rng_state(kept["cuda"])
    lines: list[dict[str, Any]] = kept["lines"]
    say(f"pretraining goes on after epoch {len(lines)}")
    return lines


def common_place(shared: Path, recipe: Recipe, images: npt.NDArray[np.uint8], device: Device) -> Path:
    """Folder for what this pretraining ends with, named by all that decides it, the code apart."""
    parts = (asdict(part) for part in (recipe.model, recipe.pretrain, _calm(recipe)))
    text = json.dumps([*parts, recipe.batch_size, recipe.seed, device.kind, device.bf16], sort_keys=True)
    digest = hashlib.sha256(text.encode())
    digest.update(np.ascontiguousarray(images).data)
    return shared / digest.hexdigest()[:16]


def copy_pretraining(source: Path, target: Path) -> None:
    """From a folder where one is done to one where none is. The weights last, and whole: they mark it as done."""
    if not (source / WEIGHTS).exists() or (target / WEIGHTS).exists():
        return
    target.mkdir(parents=True, exist_ok=True)
    for name in (METRICS, WEIGHTS):
        temporary = target / f".{name}.{uuid.uuid4().hex}.tmp"
        try:
            shutil.copyfile(source / name, temporary)
            os.replace(temporary, target / name)
        finally:
            temporary.unlink(missing_ok=True)


def _calm(recipe: Recipe) -> AugmentRecipe:
    """Augmentation of what is to be filled in: without holes of its own, and without what mixes labels."""
    return replace(recipe.augment, erasing=0, policy_operations=0, policy_magnitude=0, mixup=0, cutmix=0)


def _rate(epoch: float, epochs: int) -> float:
    """One epoch of warm-up, or a tenth of a short run, then cosine to 0."""
    warm = min(1.0, epochs / 10)
    return epoch / warm if epoch < warm else 0.5 * (1 + math.cos(math.pi * (epoch - warm) / (epochs - warm)))
