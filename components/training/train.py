"""One training from a dataset version to a run folder; resumes by itself from the last whole checkpoint."""

import hashlib
import json
import logging
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import set_seed

from components.balancing import build_sample
from components.balancing.records import Sample
from components.dataset import Dataset, file_sha256, open_dataset
from components.errors import TrainingError
from components.evaluation.calibration import fit_temperature
from components.models.base import FaceModel
from components.models.build import build_model
from components.models.export import export_onnx
from components.training.device import Device, choose_device
from components.training.loop import FerTrainer, build_trainer
from components.training.module import TrainingModule
from components.training.records import Recipe, RunSummary

RECIPE, SAMPLE, SUMMARY, METRICS = "recipe.json", "sample.npz", "summary.json", "metrics.jsonl"
WEIGHTS, ONNX, ENVIRONMENT, CHECKPOINTS = "model.safetensors", "model.onnx", "environment.json", "checkpoints"


@dataclass(frozen=True)
class Job:
    """What to train, on what, where to."""

    preset: str
    recipe: Recipe
    data: Path
    out: Path
    sample: Path | None = None


def train(job: Job, say: Callable[[str], None] = print) -> RunSummary:
    """Train, or go on from the last whole checkpoint of the same job; a finished run is returned as it is.

    Raises TrainingError where `out` holds another job's run, or the loss stops being a number.
    """
    finished = _claim(job)
    if finished:
        say(f"{job.out} holds the finished run of this recipe")
        return finished
    dataset = open_dataset(job.data)
    sample = _sample(job, dataset)
    device = choose_device(job.recipe.precision)
    say(
        f"{job.preset}: {len(sample.train)} images, {len(sample.validation)} for validation; "
        f"{device.name}; {device.reason}"
    )
    (job.out / ENVIRONMENT).write_text(json.dumps(_environment(device), indent=2, sort_keys=True))
    set_seed(job.recipe.seed)
    model = build_model(job.recipe.model).to(memory_format=torch.channels_last)  # convolutions run 1.1 times faster
    module = TrainingModule(model, dataset.images, sample.class_weights, job.recipe)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    trainer = build_trainer(module, job.recipe, sample, dataset.labels, device, job.out, say)
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=last_checkpoint(job.out / CHECKPOINTS, say))
    return _finish(job, trainer, module, sample, dataset, device, time.monotonic() - started)


def _claim(job: Job) -> RunSummary | None:
    """Mark `out` as this job's; a summary is there when the job is already done."""
    job.out.mkdir(parents=True, exist_ok=True)
    path, text = job.out / RECIPE, job.recipe.to_json()
    if path.exists() and path.read_text() != text:
        raise TrainingError(f"{job.out} holds a run of another recipe: name another --out, or remove that folder.")
    path.write_text(text)
    summary = job.out / SUMMARY
    return RunSummary.from_json(summary.read_text()) if summary.exists() else None


def _sample(job: Job, dataset: Dataset) -> Sample:
    """The given sample, the one this run began with, or a new one from the recipe."""
    target = job.out / SAMPLE
    if job.sample and not target.exists():
        shutil.copyfile(job.sample, target)
    if not target.exists():
        _, sample = build_sample(dataset, job.recipe.data, job.recipe.balance, job.recipe.seed)
        sample.save(target)
    return Sample.load(target)


def last_checkpoint(folder: Path, say: Callable[[str], None]) -> str | None:
    """Newest checkpoint that was written to its end; the Trainer writes trainer_state.json last."""
    checkpoints = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True)
    for path in checkpoints:
        try:
            step = json.loads((path / "trainer_state.json").read_text())["global_step"]
        except (OSError, ValueError, KeyError):
            say(f"warning: {path} is half-written and is skipped")
            shutil.rmtree(path)
            continue
        say(f"resuming from step {step}")
        return str(path)
    return None


def _finish(
    job: Job,
    trainer: FerTrainer,
    module: TrainingModule,
    sample: Sample,
    dataset: Dataset,
    device: Device,
    seconds: float,
) -> RunSummary:
    """Temperature, weights, ONNX graph; the summary last, since it marks the run as complete."""
    model = module.kept().cpu().float().eval()
    logits = _logits(model, dataset.images[np.sort(sample.validation)])
    labels = dataset.labels[np.sort(sample.validation)]
    if not np.isfinite(logits).all():
        raise TrainingError(f"{job.preset}: the network's outputs are no numbers; lower optimizer.lr or use fp32.")
    temperature = fit_temperature(logits, labels)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, job.out / WEIGHTS)
    export_onnx(model, temperature, dataset.info.height, dataset.info.width, job.out / ONNX)
    epochs = [json.loads(line) for line in (job.out / METRICS).read_text().splitlines()]
    best = max(epochs, key=lambda line: line["validation_macro_f1"])
    summary = RunSummary(
        preset=job.preset,
        model=job.recipe.model.name,
        parameters=sum(p.numel() for p in model.parameters()),
        best_epoch=best["epoch"],
        epochs=len(epochs),
        train_images=len(sample.train),
        validation_images=len(sample.validation),
        validation_accuracy=best["validation_accuracy"],
        validation_macro_f1=best["validation_macro_f1"],
        temperature=temperature,
        seconds=round(sum(line["seconds"] for line in epochs), 1),
        images_per_second=round(float(np.mean([line["images_per_second"] for line in epochs])), 1),
        peak_memory_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        device=device.name,
        device_reason=device.reason,
        fingerprint=dataset.info.fingerprint,
        image_height=dataset.info.height,
        image_width=dataset.info.width,
        has_rollout=job.recipe.model.has_attention,
        recipe_sha256=hashlib.sha256(job.recipe.to_json().encode()).hexdigest(),
        sample_sha256=file_sha256(job.out / SAMPLE),
        model_sha256=file_sha256(job.out / ONNX),
    )
    shutil.rmtree(job.out / CHECKPOINTS)
    _write_atomically(job.out / SUMMARY, summary.to_json())
    return summary


def _logits(
    model: FaceModel, images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """float32 [V, 7], in batches."""
    with torch.inference_mode():
        batches = [model(torch.from_numpy(images[i : i + 256])) for i in range(0, len(images), 256)]
    return torch.cat(batches).numpy()


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def _environment(device: Device) -> dict[str, str | int]:
    """What reproduces a run besides its recipe and data: code version, packages, machine."""
    packages = ("torch", "torchvision", "transformers", "accelerate", "numpy", "onnx", "onnxruntime")
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "device": device.name,
        "threads": torch.get_num_threads(),
        "commit": code_version(),
        "lock_sha256": _lock_digest(),
        **{name: _package_version(name) for name in packages},
    }


def _package_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _lock_digest() -> str:
    lock = Path(__file__).parents[2] / "requirements.lock"
    return file_sha256(lock) if lock.exists() else "absent"


def code_version() -> str:
    """Commit of the checkout, `-dirty` where files differ from it; `unknown` outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
