"""Small trainings, in this process and as a person starts them."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from components.dataset import Dataset
from components.training.recipes import load_preset, override, tiny
from components.training.train import Job, train

SILENT = {"say": lambda _: None}


def run(dataset: Dataset, out: Path, *assignments: str, preset: str = "quick"):
    recipe = override(tiny(load_preset(preset)), ["precision=fp32", *assignments])
    return train(Job(preset, recipe, dataset.root, out), **SILENT)


def arguments(dataset: Dataset, out: Path, *more: str) -> list[str]:
    options = ["--preset", "quick", "--set", "precision=fp32", "--data", str(dataset.root), "--out", str(out), "--tiny"]
    return ["-m", "components.training", *options, *more]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def torchrun(
    dataset: Dataset, out: Path, processes: int, *more: str, script: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """script: a file that is run in place of the training's own `-m components.training`."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    called = arguments(dataset, out, *more)
    called = [str(script), *called[2:]] if script else called
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, *called], env=environment, capture_output=True, text=True, timeout=200)
