"""Time to the paper's accuracy: `python -m benchmarks.speedrun --data DATASET [--variant NAME] [--save]`.

Preset `speedrun` from nothing on Training, without the tests' twins, until its accuracy on PublicTest first passes the
paper's 64.02 %; and the same with one idea more or less at a time. PublicTest is looked at after every epoch, as
nothing else is chosen by it here; the clock stands still meanwhile, and counts all the rest of a training.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from benchmarks.record import machine, save
from components.dataset import Dataset, open_dataset
from components.evaluation.tables import PAPER_ACCURACY
from components.labels import PUBLIC_TEST
from components.training.device import choose_device
from components.training.module import TrainingModule
from components.training.recipes import load_preset, override
from components.training.records import Recipe
from components.training.train import Job, train

HEAD = ("variant", "recipe_sha256", "device", "precision", "seed", "passed", "epochs", "seconds", "best_accuracy")
GOAL = PAPER_ACCURACY["ViT-B/16, pretrained on ImageNet-21k"]
BATCH = 256
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "speedrun": (),
    "with smaller faces first": ("early_size=32", "early_epochs=13"),
    "without mixup and stochastic depth": ("augment.mixup=0", "model.drop_path=0"),
    "without bf16": ("precision=fp32",),
    "without the moving average": ("ema=0",),
    "without mirror images at the end": ("test_flips=false",),
    "with the classes as they come": ("balance.method=none",),
    "with compact's network": ("model.quarter_blocks=1", "model.token_blocks=0", "model.depth=6"),
    "with hybrid's 48 epochs": ("epochs=48",),
}
"""Name -> what differs from the preset."""


class Clock(TrainerCallback):
    """Seconds of training, and the accuracy on PublicTest after every epoch; stops the training at the goal."""

    def __init__(self, recipe: Recipe, dataset: Dataset) -> None:
        rows = dataset.rows(PUBLIC_TEST)
        self.images, self.labels = np.array(dataset.images[rows]), dataset.labels[rows]
        self.recipe, self.spent, self.since = recipe, 0.0, time.perf_counter()
        self.seen: list[tuple[float, float]] = []
        """(seconds so far, accuracy) of each epoch."""

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: TrainingModule | None = None,
        **_: Any,
    ) -> None:
        assert model is not None
        self.spent += time.perf_counter() - self.since
        model.at_epoch(self.recipe.epochs)  # as it would be exported
        self.seen.append((self.spent, self.accuracy(model)))
        print(f"  {self.spent / 60:5.1f} min  PublicTest {self.seen[-1][1]:.2%}", flush=True)
        control.should_training_stop = self.seen[-1][1] > GOAL
        self.since = time.perf_counter()

    def accuracy(self, model: TrainingModule) -> float:
        """Share of PublicTest that the network as kept gets right."""
        kept, right = model.kept().eval(), 0
        with torch.inference_mode():
            for start in range(0, len(self.images), BATCH):
                images = torch.from_numpy(self.images[start : start + BATCH]).to(model.images.device)
                answers = kept.answer(images, self.recipe.test_flips).argmax(1).cpu().numpy()
                right += int((answers == self.labels[start : start + BATCH]).sum())
        return right / len(self.images)


def measure(recipe: Recipe, dataset: Dataset) -> Clock:
    """One training, from nothing until the goal or its end."""
    clock = Clock(recipe, dataset)
    with tempfile.TemporaryDirectory() as folder:
        clock.since = time.perf_counter()
        train(Job("speedrun", recipe, dataset.root, Path(folder)), lambda _: None, [clock])
    return clock


def line(name: str, recipe: Recipe, seen: Sequence[tuple[float, float]]) -> list[object]:
    """A training for the results, under HEAD; a variant's recipe may change, so its sha256 says which one it was.

    seen: (seconds so far, accuracy 0 to 1) of each epoch, as the clock has them.
    """
    device = choose_device(recipe.precision)
    passed, best = seen[-1][1] > GOAL, max(accuracy for _, accuracy in seen)
    return [
        name, recipe.digest[:12], device.name, "bf16" if device.bf16 else "fp32", recipe.seed,
        "yes" if passed else "no", len(seen), f"{seen[-1][0]:.0f}", f"{best:.4f}",
    ]  # fmt: skip


def main() -> None:
    """Print and, on demand, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of a dataset version of FER-2013")
    parser.add_argument("--variant", action="append", choices=list(VARIANTS), help="repeats; default: all of them")
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--save", action="store_true", help="append to results/speedrun.csv")
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    rows = []
    for name in options.variant or VARIANTS:
        recipe = override(load_preset("speedrun"), [*VARIANTS[name], *options.sets])
        print(f"{name}: {recipe.epochs} epochs at most", flush=True)
        clock = measure(recipe, dataset)
        rows.append(line(name, recipe, clock.seen))
        print(f"{name}: passed: {rows[-1][HEAD.index('passed')]}; {len(clock.seen)} epochs, {clock.spent / 60:.1f} min")
    print(f"machine: {machine()}")
    if options.save:
        save("speedrun", HEAD, rows)


if __name__ == "__main__":
    main()
