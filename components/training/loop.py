"""transformers' Trainer, with our schedule, sampler, moving average and metrics file."""

import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as distributed
from sklearn.metrics import accuracy_score, f1_score
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Sampler, WeightedRandomSampler
from transformers import (
    EvalPrediction,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from components.balancing.records import Sample
from components.errors import RecipeError, TrainingError, TrainingHopeless
from components.training import read_epochs
from components.training.device import Device
from components.training.energy import Meter
from components.training.module import Collator, Rows, TrainingModule
from components.training.optimizer import build_optimizer
from components.training.records import Recipe
from components.training.runs import write_atomically, writing
from components.training.schedule import Schedule, build_scheduler

PROGRESS_SECONDS = 20.0
STATE = "trainer_state.json"


class FerTrainer(Trainer):
    """The stock loop with choices of ours: optimizer, learning rate over time, balanced sampler, errors in words."""

    def __init__(self, recipe: Recipe, sample: Sample, module: TrainingModule, **kwargs: Any) -> None:
        super().__init__(model=module, **kwargs)
        self.recipe, self.sample, self.module = recipe, sample, module
        self.lr_scheduler: LambdaLR | None = None
        self.optimizer: Optimizer | None = None

    def create_optimizer(self, model: Any = None) -> Optimizer:
        if self.optimizer is None:
            self.optimizer = build_optimizer(self.module.model, self.recipe.optimizer)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LambdaLR:
        if self.lr_scheduler is None:
            steps = num_training_steps // self.recipe.epochs
            chosen = optimizer or self.optimizer
            assert isinstance(chosen, torch.optim.Optimizer)
            self.lr_scheduler = build_scheduler(chosen, self.recipe.schedule, steps, self.recipe.epochs)
        return self.lr_scheduler

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        if self.recipe.balance.method != "sampler":
            return super()._get_train_sampler(train_dataset)  # type: ignore[no-any-return]  # untyped upstream
        return WeightedRandomSampler(self.sample.weights.tolist(), len(self.sample.train))

    def take_best(self, checkpoint: Path) -> None:
        """End as a training does that stopped at this checkpoint."""
        self.state = TrainerState.load_from_json(str(checkpoint / STATE))
        best = Path(self.state.best_model_checkpoint or checkpoint)
        self.state.best_model_checkpoint = str(checkpoint.with_name(best.name))
        self._load_best_model()

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """A disk that is full leaves the checkpoints before this one as they are."""
        half = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        try:
            with writing(f"the checkpoint of step {self.state.global_step}", half):
                super()._save_checkpoint(*args, **kwargs)
        except TrainingError:
            shutil.rmtree(half, ignore_errors=True)
            raise

    def _save(self, output_dir: str | None = None, state_dict: dict[str, torch.Tensor] | None = None) -> None:
        """safetensors wants plain layouts, and convolutions train with their channels last."""
        state = self.model.state_dict() if state_dict is None else state_dict
        super()._save(output_dir, {name: value.contiguous() for name, value in state.items()})


class EarlyStop(TrainerCallback):
    """Stops after `patience` epochs without a better validation macro-F1.

    It counts in the Trainer's log, which every checkpoint holds, so that a resumed run stops where it would have.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if is_used_up(self.patience, state.log_history):
            control.should_training_stop = True


def is_used_up(patience: int, history: list[dict[str, float]]) -> bool:
    """Whether so many epochs went by since the best, the first of equals. history: the Trainer's log; 0: never."""
    scores = [line["eval_macro_f1"] for line in history if "eval_macro_f1" in line]
    return bool(patience and scores) and len(scores) - 1 - int(np.argmax(scores)) >= patience


class Progress(TrainerCallback):
    """metrics.jsonl, one line an epoch; lines on standard output; plateau and moving average kept up to date."""

    def __init__(
        self, module: TrainingModule, path: Path, images: int, meter: Meter, say: Callable[[str], None]
    ) -> None:
        self.module, self.path, self.images, self.meter, self.say = module, path, images, meter, say
        self.started = self.spoke = time.monotonic()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """A resumed run drops what was written after its checkpoint."""
        if state.is_world_process_zero:
            kept = [line for line in read_epochs(self.path.parent) if line["step"] <= state.global_step]
            write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.started = self.spoke = time.monotonic()
        self.module.at_epoch(round(state.epoch or 0))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.module.update_average()
        if time.monotonic() - self.spoke > PROGRESS_SECONDS:
            self.spoke = time.monotonic()
            self.say(f"  step {state.global_step}/{state.max_steps}, epoch {state.epoch or 0:.2f}")

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Each process has seen other images: their batch norms' statistics are averaged before one is evaluated."""
        if distributed.is_initialized():
            for buffer in self.module.statistics():
                distributed.all_reduce(buffer)
                buffer /= distributed.get_world_size()

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        lr_scheduler: LambdaLR,
        **_: Any,
    ) -> None:
        trained = next(entry for entry in reversed(state.log_history) if "loss" in entry)
        if not (math.isfinite(trained["loss"]) and math.isfinite(metrics["eval_loss"])):
            raise TrainingHopeless(
                f"epoch {round(state.epoch or 0)}: the loss is no number any more (training {trained['loss']}, "
                f"validation {metrics['eval_loss']}). Lower optimizer.lr, which is {args.learning_rate:g}, or set "
                "precision=fp32."
            )
        schedule = lr_scheduler.lr_lambdas[0]
        assert isinstance(schedule, Schedule)
        schedule.observe(metrics["eval_loss"], state.global_step)
        if not state.is_world_process_zero:
            return
        seconds = time.monotonic() - self.started
        energy = self.meter.read_wh()
        line = {
            "epoch": round(state.epoch or 0),
            "step": state.global_step,
            "train_loss": trained["loss"],
            "validation_loss": metrics["eval_loss"],
            "validation_accuracy": metrics["eval_accuracy"],
            "validation_macro_f1": metrics["eval_macro_f1"],
            "learning_rate": trained["learning_rate"],
            "seconds": round(seconds, 3),
            "images_per_second": round(self.images / seconds, 1),
            **({} if energy is None else {"energy_wh": round(energy, 4)}),
        }
        with self.path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        self.say(
            f"epoch {line['epoch']}: train loss {line['train_loss']:.3f}, "
            f"validation loss {line['validation_loss']:.3f}, accuracy {line['validation_accuracy']:.4f}, "
            f"macro-F1 {line['validation_macro_f1']:.4f}, {seconds:.0f} s, {line['images_per_second']:.0f} images/s"
        )


def epoch_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Accuracy and macro-F1 of logits [V, 7] against labels [V]."""
    guesses, labels = np.asarray(prediction.predictions).argmax(1), np.asarray(prediction.label_ids)
    return {
        "accuracy": float(accuracy_score(labels, guesses)),
        "macro_f1": float(f1_score(labels, guesses, average="macro", zero_division=0)),
    }


def batch_share(recipe: Recipe, processes: int) -> int:
    """Images a step of one process; raises RecipeError where they cannot be shared evenly."""
    if recipe.batch_size % processes:
        raise RecipeError(f"batch_size {recipe.batch_size} cannot be shared by {processes} processes evenly.")
    return recipe.batch_size // processes


def arguments(recipe: Recipe, device: Device, out: Path, processes: int) -> TrainingArguments:
    """A recipe in the Trainer's words. Early stopping and the best checkpoint go by validation macro-F1."""
    made = TrainingArguments(
        output_dir=str(out / "checkpoints"),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=batch_share(recipe, processes),
        per_device_eval_batch_size=256,
        learning_rate=recipe.optimizer.lr,
        weight_decay=recipe.optimizer.weight_decay,
        max_grad_norm=recipe.optimizer.clip_norm,
        bf16=device.bf16,
        use_cpu=device.kind == "cpu",
        seed=recipe.seed,
        data_seed=recipe.seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        logging_nan_inf_filter=False,  # it would put the mean so far in place of a loss that is no number
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="macro_f1",
        greater_is_better=True,
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        ddp_broadcast_buffers=False,  # the whole dataset is one of them
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        report_to=[],
    )
    if made.n_gpu > 1:  # the Trainer would spread one process over all it sees, each with a batch of its own
        made._n_gpu = 1
    return made


def build_trainer(
    module: TrainingModule,
    recipe: Recipe,
    sample: Sample,
    labels: np.ndarray[Any, np.dtype[np.int64]],
    device: Device,
    out: Path,
    processes: int,
    meter: Meter,
    say: Callable[[str], None],
) -> FerTrainer:
    """The loop, ready to run; labels: int64 [N] of the whole dataset."""
    callbacks: list[TrainerCallback] = [Progress(module, out / "metrics.jsonl", len(sample.train), meter, say)]
    if recipe.patience:
        callbacks.append(EarlyStop(recipe.patience))
    trainer = FerTrainer(
        recipe,
        sample,
        module,
        args=arguments(recipe, device, out, processes),
        data_collator=Collator(labels),
        train_dataset=Rows(sample.train, sample.augmented),
        eval_dataset=Rows(sample.validation),
        compute_metrics=epoch_metrics,
        callbacks=callbacks,
    )
    trainer.remove_callback(transformers_printer())
    return trainer


def transformers_printer() -> type[TrainerCallback]:
    """The Trainer's own printing of log dictionaries, which Progress replaces."""
    from transformers.trainer_callback import PrinterCallback

    printer: type[TrainerCallback] = PrinterCallback
    return printer
