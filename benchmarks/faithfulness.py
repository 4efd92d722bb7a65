"""Does the rollout map show what the network looks at? `python -m benchmarks.faithfulness --run RUN --data DATASET`.

Rollout by every head fusion, and the maps by gradients, against chance, the centre of the frame and the same kind of
map averaged over the other images, by deletion, insertion and a perturbation test on PublicTest. The answers are the
network's own to the image as it comes, calibrated: its weights in PyTorch, without a recipe's `test_flips` and without
the eight bits of its exported graph. It is this one pass that the maps are of.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.record import machine, save
from components.dataset import open_dataset
from components.errors import ModelNotFound
from components.evaluation.faithfulness import Classify, Faithfulness, Floats, faithfulness, faithfulness_tables
from components.labels import PUBLIC_TEST
from components.models.base import Attending, FaceModel
from components.models.relevance import class_map
from components.models.rollout import rollout_map
from components.training.records import RunSummary
from components.training.runs import SUMMARY, load_run

BATCH = 100
HEAD = ("model", "model_sha256", "n", "measure", "map", "mean", "low", "high", "baseline", "gain", "gain_low",
        "gain_high", "verdict")  # fmt: skip


def main() -> None:
    """Print and, on demand, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run with attention")
    parser.add_argument("--data", type=Path, required=True, help="folder of a dataset version")
    parser.add_argument("--images", type=int, default=500, help="of PublicTest, drawn at random (default: %(default)s)")
    parser.add_argument("--save", action="store_true", help="append to results/faithfulness.csv")
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    rows = dataset.rows(PUBLIC_TEST)
    rows = np.sort(np.random.default_rng(0).permutation(rows)[: options.images])
    images = np.array(dataset.images[rows])
    model, summary = load_run(options.run), RunSummary.from_json((options.run / SUMMARY).read_text())
    maps = maps_of(model, images)
    found = faithfulness(
        classifier(model, summary.temperature), images, dataset.labels[rows], maps, BATCH,
        lambda name: print(f"judging {name}", file=sys.stderr, flush=True),
    )  # fmt: skip
    print(faithfulness_tables(found))
    print(f"\n{summary.preset}, {options.run}; machine: {machine()}")
    if options.save:
        save("faithfulness", HEAD, lines(found, summary))


def classifier(model: FaceModel, temperature: float) -> Classify:
    """Calibrated probabilities of the network."""

    def classify(images: np.ndarray) -> Floats:
        with torch.inference_mode():
            probabilities: Floats = (model(torch.from_numpy(images)) / temperature).softmax(-1).numpy()
            return probabilities

    return classify


def maps_of(model: FaceModel, images: np.ndarray) -> dict[str, Floats]:
    """Name -> maps [N, H, W]; raises ModelNotFound for a network without attention."""
    backbone = model.backbone
    if not isinstance(backbone, Attending):
        raise ModelNotFound(f"{type(backbone).__name__} has no attention to judge: name the run of a transformer.")

    def attend(batch: Tensor) -> list[Tensor]:
        with torch.no_grad():
            return backbone.attend(model.preprocess(batch))[1]

    _, height, width = images.shape
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "rollout, mean of heads": lambda batch: rollout_map(attend(batch), height, width, "mean"),
        "rollout, max of heads": lambda batch: rollout_map(attend(batch), height, width, "max"),
        "rollout, min of heads": lambda batch: rollout_map(attend(batch), height, width, "min"),
        "rollout, max, weakest 90 % cut": lambda batch: rollout_map(attend(batch), height, width, "max", discard=0.9),
        "gradient rollout": lambda batch: class_map(model, batch, method="gradient-rollout"),
        "relevance (Chefer)": lambda batch: class_map(model, batch, method="relevance"),
    }
    batches = [torch.from_numpy(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    return {name: torch.cat([way(batch) for batch in batches]).numpy() for name, way in ways.items()}


def lines(found: Faithfulness, summary: RunSummary) -> list[list[object]]:
    """A line a map, measure and baseline for the results, under HEAD; a baseline's own has no gain.

    The exported graph's sha256 tells models of one preset apart.
    """
    rows: list[list[object]] = []
    model = [summary.preset, summary.model_sha256[:12], found.n]
    for f in found.figures:
        own = [*model, f.measure, f.name, *(f"{x:.4f}" for x in (f.mean, f.interval.low, f.interval.high))]
        gains = [[a.baseline, *(f"{x:.4f}" for x in (a.gain, a.interval.low, a.interval.high)), a.verdict]
                 for a in f.against]  # fmt: skip
        rows += [[*own, *gain] for gain in gains or [[""] * 5]]
    return rows


if __name__ == "__main__":
    main()
