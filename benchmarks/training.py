"""What the training loop costs: `python -m benchmarks.training [--preset compact ...] [--save]`.

bare: forward, backward and optimizer step on one batch that lies there as pixels, nothing else.
ours: a whole training as `ferline train` runs it: rows, augmentation, moving average, logging, evaluation, checkpoint.
peer: transformers' Trainer on PIL images with per-image torchvision transforms, as in the public image-classification
examples, in a process of its own; only in the first row, for it says the same of every network.
stock: the same as those examples set it, in fp32.
limit: the rate of a large matrix product, measured in the same run, beside the FLOPs counted in bare.
All but stock count in the arithmetic that the recipe's `precision` takes on this machine. `ours` sets how the process
holds its memory (components/training/memory.py), which bare then has as well, and a peer's process not.
"""

import argparse
import dataclasses
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset as TorchDataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms
from transformers import Trainer, TrainerCallback, TrainingArguments

from benchmarks.record import machine, save
from components.dataset import Dataset, open_dataset
from components.labels import TRAINING
from components.models.build import build_model
from components.training.device import choose_device
from components.training.memory import keep_memory
from components.training.optimizer import build_optimizer
from components.training.recipes import load_preset
from components.training.records import Recipe
from components.training.train import Job, train

PRESETS = ("compact", "quick", "vit-warmup-48", "resnet18-48", "vgg16-48")
STEPS, ROUNDS = 12, 3
Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """Images a second, but for gflop (an image, forward and backward) and limit (GFLOP a second)."""

    preset: str
    batch: int
    precision: str
    bare: float
    ours: float
    gflop: float
    limit: float
    peer: float | None
    stock: float | None


HEAD = [*(f.name for f in dataclasses.fields(Row)), "ours_to_bare", "device"]


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(recipe: Recipe) -> torch.dtype:
    """What `ferline train` would count in here."""
    return torch.bfloat16 if choose_device(recipe.precision).bf16 else torch.float32


def seconds(call: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median of some calls after one unmeasured; waits for a GPU."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def gemm_limit(dtype: torch.dtype, side: int = 2048) -> float:
    """GFLOP a second of a product of square matrices."""
    left, right = (torch.randn(side, side, device=device()).to(dtype) for _ in range(2))
    return 2 * side**3 / seconds(lambda: left @ right, 7) / 1e9


def bare(recipe: Recipe, images: Images, labels: Tensor) -> tuple[float, float]:
    """Images a second, and GFLOP an image."""
    model = build_model(recipe.model).to(device(), memory_format=torch.channels_last).train()
    optimizer = build_optimizer(model, recipe.optimizer)
    batch = torch.from_numpy(images[: recipe.batch_size]).to(device()).float()
    targets, bf16 = labels[: recipe.batch_size].to(device()), precision(recipe) == torch.bfloat16

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device().type, torch.bfloat16, enabled=bf16):
            loss = nn.functional.cross_entropy(model(batch), targets)
        loss.backward()
        optimizer.step()

    with FlopCounterMode(display=False) as counter:
        step()
    return recipe.batch_size / seconds(step, STEPS), counter.get_total_flops() / recipe.batch_size / 1e9


def ours(preset: str, recipe: Recipe, dataset: Dataset) -> float:
    """Images a second over a whole epoch, its evaluation and checkpoint included."""
    ends: list[float] = []

    def say(line: str) -> None:
        if line.startswith("epoch "):  # steps are said too where an epoch takes long
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        train(Job(preset, dataclasses.replace(recipe, epochs=2), dataset.root, Path(folder)), say)
        images = len(np.load(Path(folder) / "sample.npz")["train"])
    return images / (ends[1] - ends[0])


class Pictures(TorchDataset[dict[str, object]]):
    """PIL images through a transform, one by one."""

    def __init__(self, images: Images, labels: Tensor) -> None:
        self.pictures = [Image.fromarray(image) for image in images]
        self.labels = labels
        self.transform = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(),
                transforms.RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1)),
                transforms.ColorJitter(0.25, 0.25),
                transforms.ToTensor(),
                transforms.Lambda(lambda pixels: 255 * pixels[0]),
            ]
        )

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> dict[str, object]:
        return {"images": self.transform(self.pictures[index]), "labels": self.labels[index]}


class Classifier(nn.Module):
    """What the stock Trainer takes: a loss from images and labels."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.network = build_model(recipe.model)

    def forward(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.network(images)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Clock(TrainerCallback):
    """Times of the steps' ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: object, **__: object) -> None:
        self.ends.append(time.perf_counter())


def peer(recipe: Recipe, images: Images, labels: Tensor, bf16: bool) -> float:
    """Images a second of the stock Trainer, its start and evaluation left out."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, max_steps=STEPS, per_device_train_batch_size=recipe.batch_size, report_to=[],
            disable_tqdm=True, save_strategy="no", logging_strategy="no", remove_unused_columns=False,
            bf16=bf16, use_cpu=device().type == "cpu",
        )  # fmt: skip
        pictures = Pictures(images[: STEPS * recipe.batch_size], labels)
        Trainer(model=Classifier(recipe), args=arguments, train_dataset=pictures, callbacks=[clock]).train()
    return recipe.batch_size * (len(clock.ends) - 2) / (clock.ends[-1] - clock.ends[1])


def measure(preset: str, dataset: Dataset, with_peer: bool) -> Row:
    """One network three ways, and the first one's peer."""
    recipe = load_preset(preset)
    rows = np.random.default_rng(0).permutation(dataset.rows(TRAINING))
    images, labels = np.asarray(dataset.images[rows]), torch.from_numpy(dataset.labels[rows])
    dtype = precision(recipe)
    bf16 = dtype == torch.bfloat16
    peers = [alone(peer, recipe, images, labels, given) for given in (bf16, False)] if with_peer else [None, None]
    if device().type == "cpu":
        keep_memory()
    limit = gemm_limit(dtype)
    rate, gflop = bare(recipe, images, labels)
    own = ours(preset, recipe, dataset)
    again, _ = bare(recipe, images, labels)  # before and after: a machine's pace drifts
    return Row(
        preset,
        recipe.batch_size,
        "bf16" if bf16 else "fp32",
        (rate + again) / 2,
        own,
        gflop,
        limit,
        *peers,
    )


def alone(call: Callable[..., float], *arguments: object) -> float:
    """What a call gives in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, arguments)


def main() -> None:
    """Print a line a preset and, on demand, save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", action="append", help="preset to measure; repeats (default: all at 48 pixels)")
    parser.add_argument("--images", type=int, default=2500, help="synthetic faces to train on")
    parser.add_argument("--save", action="store_true", help="append to results/training.csv")
    options = parser.parse_args()
    from components.ingest import IngestOptions, ingest

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source = f"synthetic:images={options.images},seed=1"
        dataset = open_dataset(ingest(source, Path(folder), IngestOptions()).folder)
        print("images a second    batch  in       bare     ours  ratio  | GFLOP/image  GFLOP/s  of limit", flush=True)
        for k, preset in enumerate(options.preset or PRESETS):
            rows.append(measure(preset, dataset, with_peer=k == 0))
            print(_line(rows[-1]), flush=True)
    first = rows[0]
    for name, rate in ((first.precision, first.peer), ("fp32, as its examples set it", first.stock)):
        if rate:
            told = f"Trainer with per-image PIL transforms in {name}, {first.preset}"
            print(f"peer: {told}: {rate:.1f}; ours {first.ours / rate:.2f} times")
    print(f"limit: {first.limit:.0f} GFLOP/s of a {first.precision} matrix product")
    print("wanted: ours 0.95 of bare, 1.5 of the peer")
    print(f"machine: {machine()}, {torch.get_num_threads()} threads, {device()}")
    if options.save:
        save("training", HEAD, lines(rows))


def _line(row: Row) -> str:
    rate = row.gflop * row.bare
    return (
        f"{row.preset:16} {row.batch:7}  {row.precision} {row.bare:8.1f} {row.ours:8.1f} {row.ours / row.bare:6.2f}  | "
        f"{row.gflop:11.2f} {rate:8.0f} {rate / row.limit:9.0%}"
    )


def lines(rows: Sequence[Row]) -> list[list[object]]:
    """A line a preset for the results."""
    found: list[list[object]] = []
    for row in rows:
        values = [f"{v:.3f}" if isinstance(v, float) else v for v in dataclasses.astuple(row)]
        found.append([*values, f"{row.ours / row.bare:.3f}", device()])
    return found


if __name__ == "__main__":
    main()
