"""benchmarks/training.py compares like with like, and times whole epochs."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks import training
from components.dataset import Dataset
from components.labels import TRAINING
from components.models.base import FaceModel
from components.models.build import build_model
from components.training.recipes import load_preset, override, tiny
from components.training.train import Job

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@pytest.mark.parametrize("precision", DTYPES)
def test_every_way_counts_as_the_recipe_says(
    precision: str, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = override(tiny(load_preset("quick")), [f"precision={precision}", "optimizer.name=sgd"])
    counted: list[torch.dtype] = []

    def watched(*arguments: object) -> FaceModel:
        model = build_model(*arguments)
        model.head[0].register_forward_hook(lambda _, __, features: counted.append(features.dtype))
        return model

    monkeypatch.setattr(training, "build_model", watched)
    monkeypatch.setattr(training, "STEPS", 3)
    rows = tiny_dataset.rows(TRAINING)
    images, labels = np.asarray(tiny_dataset.images[rows]), torch.from_numpy(tiny_dataset.labels[rows])
    steps: list[str] = []
    hook = register_optimizer_step_post_hook(lambda optimizer, *_: steps.append(type(optimizer).__name__))
    training.bare(recipe, images, labels)
    hook.remove()
    assert set(counted) == {DTYPES[precision]}
    assert set(steps) == {"SGD"}
    counted.clear()
    training.peer(recipe, images, labels, precision == "bf16")
    assert set(counted) == {DTYPES[precision]}


def test_a_peer_runs_in_a_process_of_its_own() -> None:
    assert training.alone(os.getpid) != os.getpid()


@pytest.mark.parametrize("dtype", DTYPES.values())
def test_the_limit_is_of_a_product_in_the_same_arithmetic(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    products: list[torch.Tensor] = []

    def once(call: Callable[[], torch.Tensor], rounds: int) -> float:
        products.append(call())
        return 1.0

    monkeypatch.setattr(training, "seconds", once)
    training.gemm_limit(dtype, side=8)
    assert [product.dtype for product in products] == [dtype]


def test_an_epoch_lasts_from_the_end_of_the_one_before(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines about steps, which long epochs print, are no ends of epochs."""
    clock = itertools.count()

    def trained(job: Job, say: Callable[[str], None]) -> None:
        np.savez(job.out / "sample.npz", train=np.arange(80))
        for line in ("quick: 80 images", "  step 3/8", "epoch 1: loss", "  step 7/8", "epoch 2: loss"):
            next(clock)
            say(line)

    monkeypatch.setattr(training, "train", trained)
    monkeypatch.setattr(training.time, "perf_counter", lambda: float(next(clock)))
    assert training.ours("quick", tiny(load_preset("quick")), tiny_dataset) == 80 / 3


def test_a_saved_line_has_the_columns_of_the_ones_before() -> None:
    head = (Path(training.__file__).parent / "results" / "training.csv").read_text().splitlines()[0].split(",")
    row = training.Row("quick", 64, "bf16", 2.0, 1.9, 0.5, 300.0, None, None)
    assert head == ["date", *training.HEAD, "machine"]
    assert len(training.lines([row])[0]) == len(training.HEAD)
