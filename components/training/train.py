"""One training from a dataset version to a run folder; resumes by itself from the last whole checkpoint."""

import json
import logging
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from transformers import TrainerCallback, set_seed

from components.balancing import build_sample
from components.balancing.records import Sample
from components.balancing.selection import EXCLUDE, exclusion_list
from components.dataset import Dataset, file_sha256, open_dataset, read_info
from components.errors import TrainingHopeless
from components.evaluation.calibration import fit_temperature
from components.models.base import FaceModel
from components.models.build import RUN_WEIGHTS, build_model, save_model
from components.training import read_epochs, read_summary
from components.training.device import Device, choose_device
from components.training.energy import Meter, open_meter
from components.training.graph import can_export, write_graph
from components.training.loop import STATE, build_trainer, is_used_up
from components.training.memory import keep_memory
from components.training.module import TrainingModule
from components.training.pretrain import METRICS, common_place, copy_pretraining, pretrain
from components.training.records import Recipe, RunSummary
from components.training.runs import (
    CHECKPOINTS,
    DATASET,
    ONNX,
    RECIPE,
    SAMPLE,
    SUMMARY,
    load_run,
    require_same_slice,
    require_unlearned,
    write_atomically,
    writing,
)

ENVIRONMENT = "environment.json"


@dataclass(frozen=True)
class Job:
    """What to train, on what, where to."""

    preset: str
    recipe: Recipe
    data: Path
    out: Path
    sample: Path | None = None
    places: Mapping[str, Path] = field(default_factory=dict)
    """Where a store URI that the recipe names (weights, a teacher, an exclusion list) lies on this machine."""
    shared: Path | None = None
    """Folder of pretrained backbones for trainings that would pretrain the same."""

    def place(self, name: str) -> str:
        """A name in the recipe as what can be opened here."""
        return str(self.places.get(name, name))


def train(job: Job, say: Callable[[str], None] = print, callbacks: Sequence[TrainerCallback] = ()) -> RunSummary:
    """Train, or go on from the last whole checkpoint of the same job; a finished run is returned as it is.

    callbacks: more of the Trainer's, such as a benchmark's clock.
    Raises TrainingHopeless where `out` holds another job's run, or the loss stops being a number.
    """
    device = choose_device(job.recipe.precision)
    if device.kind == "cpu":
        keep_memory()
    processes = PartialState(cpu=device.kind == "cpu")
    main = processes.is_main_process
    say = say if main else _silent
    with processes.main_process_first():  # under torchrun the others find what the first one made
        finished = _claim(job)
        if finished:
            say(f"{job.out} holds the finished run of this recipe")
            return finished
        dataset = open_dataset(job.data)
        sample = _sample(job, dataset)
    say(
        f"{job.preset}: {len(sample.train)} images, {len(sample.validation)} for validation; "
        f"{device.name}, {processes.num_processes} process(es); {device.reason}"
    )
    if main:
        (job.out / ENVIRONMENT).write_text(json.dumps(_environment(device), indent=2, sort_keys=True))
    meter = open_meter(device)
    module = _module(job, dataset, sample, device, main, meter, say)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    trainer = build_trainer(
        module, job.recipe, sample, dataset.labels, device, job.out, processes.num_processes, meter, say
    )
    for callback in callbacks:
        trainer.add_callback(callback)
    if processes.num_processes > 1:  # the Trainer seeds all alike: image i of each would be turned and mixed the same
        set_seed(job.recipe.seed + processes.process_index)
    checkpoint = last_checkpoint(job.out / CHECKPOINTS, say, main)
    if checkpoint and _has_stopped(Path(checkpoint), job.recipe.patience):
        trainer.take_best(Path(checkpoint))
    else:
        trainer.train(resume_from_checkpoint=checkpoint)
    with processes.main_process_first():
        return _finish(job, module, sample, dataset, device, meter.source, say) if main else read_summary(job.out)


def _silent(_: str) -> None:
    """One process speaks for all."""


def _has_stopped(checkpoint: Path, patience: int) -> bool:
    """Whether the training had stopped early there, and was killed before it wrote its model."""
    return is_used_up(patience, json.loads((checkpoint / STATE).read_text())["log_history"])


def _module(
    job: Job, dataset: Dataset, sample: Sample, device: Device, main: bool, meter: Meter, say: Callable[[str], None]
) -> TrainingModule:
    """Network and teachers, pretrained where the recipe says so; the seed's state is the same either way."""
    recipe = job.recipe
    lessons = [Path(job.place(name)) for name in recipe.distill.teachers]
    begin = job.place(recipe.model.pretrained)
    for folder in [*lessons, *([Path(begin)] if begin else [])]:
        require_same_slice(folder, recipe)
        require_unlearned(folder, dataset.info.fingerprint, sample.validation)
    teachers = [load_run(folder) for folder in lessons]
    set_seed(recipe.seed)
    model = build_model(replace(recipe.model, pretrained=begin))
    if recipe.pretrain.epochs:
        own = np.array(dataset.images[np.unique(sample.train)])
        common = common_place(job.shared, recipe, own, device) if job.shared and not begin else None
        with PartialState().main_process_first():  # all ranks then find the same in the run folder
            if common and main:
                copy_pretraining(common, job.out)
        pretrain(model, own, recipe, device, job.out, main, meter, say)
        if common and main:
            copy_pretraining(job.out, common)
        set_seed(recipe.seed)
    model = model.to(memory_format=torch.channels_last)  # convolutions run 1.1 times faster
    return TrainingModule(model, dataset.images, sample.class_weights, recipe, teachers)


def _claim(job: Job) -> RunSummary | None:
    """Mark `out` as this job's; a summary is there when the job is already done, and then no checkpoint is needed."""
    fingerprint = read_info(job.data).fingerprint
    job.out.mkdir(parents=True, exist_ok=True)
    for name, text in ((RECIPE, job.recipe.to_json()), (DATASET, json.dumps({"fingerprint": fingerprint}))):
        path = job.out / name
        _require(not path.exists() or path.read_text() == text, job.out, Path(name).stem)
        write_atomically(path, text)
    if job.sample and (job.out / SAMPLE).exists():
        _require(file_sha256(job.sample) == file_sha256(job.out / SAMPLE), job.out, "sample")
    if not (job.out / SUMMARY).exists():
        return None
    shutil.rmtree(job.out / CHECKPOINTS, ignore_errors=True)
    summary = read_summary(job.out)
    _require(summary.fingerprint == fingerprint, job.out, "dataset")
    return summary


def _require(same: bool, out: Path, what: str) -> None:
    if not same:
        raise TrainingHopeless(f"{out} holds a run of another {what}: name another --out, or remove that folder.")


def _sample(job: Job, dataset: Dataset) -> Sample:
    """The given sample, the one this run began with, or a new one from the recipe.

    An exclusion list is kept with the run: its place need not outlive it.
    """
    target = job.out / SAMPLE
    excluded = job.place(job.recipe.data.exclude)
    if job.sample and not target.exists():
        copied = shutil.copyfile(job.sample, target.with_suffix(".tmp"))
        os.replace(copied, target)
    if not target.exists():
        data = replace(job.recipe.data, exclude=excluded)
        _, sample = build_sample(dataset, data, job.recipe.balance, job.recipe.seed)
        sample.save(target)
    if excluded and exclusion_list(excluded).exists():
        shutil.copyfile(exclusion_list(excluded), job.out / EXCLUDE)
    return Sample.load(target)


def last_checkpoint(folder: Path, say: Callable[[str], None], main: bool = True) -> str | None:
    """Newest checkpoint that was written to its end; the Trainer writes trainer_state.json last.

    main: whether this process removes half-written ones.
    """
    checkpoints = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True)
    for path in checkpoints:
        try:
            step = json.loads((path / STATE).read_text())["global_step"]
        except (OSError, ValueError, KeyError):
            say(f"warning: {path} is half-written and is skipped")
            if main:
                shutil.rmtree(path)
            continue
        say(f"resuming from step {step}")
        return str(path)
    return None


def _finish(
    job: Job,
    module: TrainingModule,
    sample: Sample,
    dataset: Dataset,
    device: Device,
    energy_source: str,
    say: Callable[[str], None],
) -> RunSummary:
    """Temperature, weights, ONNX graph; the summary last, since it marks the run as complete."""
    module.at_epoch(job.recipe.epochs)
    model = module.kept().cpu().float().eval()
    flips = job.recipe.test_flips
    logits = _logits(model, flips, dataset.images[np.sort(sample.validation)])
    labels = dataset.labels[np.sort(sample.validation)]
    if not np.isfinite(logits).all():
        raise TrainingHopeless(f"{job.preset}: the network's outputs are no numbers; lower optimizer.lr or use fp32.")
    temperature = fit_temperature(logits, labels)
    with writing("the weights", job.out / RUN_WEIGHTS):
        save_model(model, job.out / RUN_WEIGHTS)
    if can_export():
        write_graph(model, job.recipe, temperature, dataset, sample.validation, job.out / ONNX)
    else:
        say("onnxscript is not here: the graph is written where the run is taken in")
    epochs, before = read_epochs(job.out), read_epochs(job.out, METRICS)
    best = max(epochs, key=lambda line: line["validation_macro_f1"])
    summary = RunSummary(
        preset=job.preset,
        model=job.recipe.model.name,
        parameters=sum(p.numel() for p in model.parameters()),
        best_epoch=int(best["epoch"]),
        epochs=len(epochs),
        train_images=len(sample.train),
        validation_images=len(sample.validation),
        validation_accuracy=best["validation_accuracy"],
        validation_macro_f1=best["validation_macro_f1"],
        temperature=temperature,
        seconds=round(sum(line["seconds"] for line in epochs), 1),
        images_per_second=round(float(np.mean([line["images_per_second"] for line in epochs])), 1),
        peak_memory_mb=round(_peak_memory(device) / 2**20, 1),
        device=device.name,
        device_reason=device.reason,
        fingerprint=dataset.info.fingerprint,
        image_height=dataset.info.height,
        image_width=dataset.info.width,
        has_rollout=job.recipe.model.has_attention,
        recipe_sha256=job.recipe.digest,
        sample_sha256=file_sha256(job.out / SAMPLE),
        model_sha256=file_sha256(job.out / ONNX) if can_export() else "",
        energy_wh=_energy(epochs),
        energy_source=energy_source,
        pretraining_seconds=round(sum(line["seconds"] for line in before), 1),
        pretraining_energy_wh=_energy(before) if before else None,
    )
    write_atomically(job.out / SUMMARY, summary.to_json())
    shutil.rmtree(job.out / CHECKPOINTS)  # after the summary: killed in between, the run is finished all the same
    return summary


def _logits(
    model: FaceModel, flips: bool, images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """float32 [V, 7], in batches."""
    with torch.inference_mode():
        batches = [model.answer(torch.from_numpy(images[i : i + 256]), flips) for i in range(0, len(images), 256)]
    return torch.cat(batches).numpy()


def _energy(epochs: list[dict[str, float]]) -> float | None:
    """Watt-hours of all epochs, None where one was not measured."""
    known = [line["energy_wh"] for line in epochs if "energy_wh" in line]
    return round(sum(known), 4) if len(known) == len(epochs) else None


def _peak_memory(device: Device) -> int:
    """Bytes: of the GPU's where there is one, else of this process."""
    if device.kind == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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
