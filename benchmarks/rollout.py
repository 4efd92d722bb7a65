"""What the rollout map costs: `python -m benchmarks.rollout [--save]`.

Each network answers the same images with and without its map, in PyTorch and from its exported ONNX graph, and with the
map by the full product of all layers' matrices, as the well-known implementation has it. Rounds are interleaved; the
median counts. Wanted: at most 1.05 times the time without a map in ONNX Runtime, 1.15 in PyTorch.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnx.utils import extract_model
from torch import Tensor

from benchmarks.record import machine, save
from components.models.base import Attending, FaceModel
from components.models.build import build_model
from components.models.export import export_onnx
from components.models.records import ModelRecipe
from components.models.rollout import rollout_map
from components.training.recipes import load_preset

ROUNDS, BATCHES = 15, (1, 64)
NETWORKS = {
    "compact": load_preset("compact").model,
    "vit, 64 tokens": load_preset("vit-warmup-48").model,
    "vit, 196 tokens": ModelRecipe(name="vit", image_size=224, patch_size=16, width=192, depth=12, heads=3),
}
Way = Callable[[], object]


def full_product(attentions: Sequence[Tensor]) -> Tensor:
    """CLS row of the whole product [B, N, N]; the residual added and rows normalised in every layer."""
    identity = torch.eye(attentions[0].shape[-1])
    product = identity.expand(len(attentions[0]), -1, -1)
    for attention in attentions:
        fused = attention.mean(1) + identity
        product = (fused / fused.sum(-1, keepdim=True)) @ product
    return product[:, 0]


def torch_ways(model: FaceModel, images: Tensor) -> dict[str, Way]:
    """PyTorch without a map, with ours, with the full product."""
    backbone = model.backbone
    assert isinstance(backbone, Attending)

    def attended() -> list[Tensor]:
        features, attentions = backbone.attend(model.preprocess(images))
        model.head(features)
        return attentions

    return {
        "without": lambda: model(images),
        "with": lambda: rollout_map(attended(), 48, 48),
        "full product": lambda: full_product(attended()),
    }


def onnx_ways(model: FaceModel, images: Tensor, folder: Path) -> dict[str, Way]:
    """ONNX Runtime without and with the map.

    Without is the same graph cut off before the map: ONNX Runtime runs every node of a graph, asked for or not, and an
    export of its own could hold attention in another form.
    """
    export_onnx(model, 1.0, 48, 48, folder / "with.onnx")
    extract_model(folder / "with.onnx", folder / "without.onnx", ["images"], ["probabilities", "embedding"])
    sessions = {name: onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("without", "with")}
    feed = {"images": images.numpy()}
    return {name: (lambda session=session: session.run(None, feed)) for name, session in sessions.items()}


def medians(ways: dict[str, Way]) -> dict[str, float]:
    """Way -> median milliseconds; one unmeasured round first."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(found[1:]) for name, found in times.items()}


def main() -> None:
    """Print and, on demand, save a line a network, engine and batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="append to results/rollout.csv")
    options = parser.parse_args()
    print(f"{'network':16} {'engine':8} {'batch':>5} {'without':>10} {'with':>10} {'ratio':>6} {'full product':>13}")
    rows = []
    for name, recipe in NETWORKS.items():
        model = build_model(recipe).eval()
        for size in BATCHES:
            images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (size, 48, 48), dtype=np.uint8))
            with torch.inference_mode():
                found = {"torch": medians(torch_ways(model, images))}
            with tempfile.TemporaryDirectory() as folder:
                found["onnx"] = medians(onnx_ways(model, images, Path(folder)))
            rows += [(name, engine, size, ms) for engine, ms in found.items()]
    for name, engine, size, ms in rows:
        full = f"{ms['full product'] / ms['without']:13.2f}" if "full product" in ms else ""
        ratio = ms["with"] / ms["without"]
        print(f"{name:16} {engine:8} {size:5} {ms['without']:7.2f} ms {ms['with']:7.2f} ms {ratio:6.2f} {full}")
    print(f"wanted: ratio at most 1.05 in onnx, 1.15 in torch; machine: {machine()}")
    if options.save:
        head = ["network", "engine", "batch", "without_ms", "with_ms", "ratio", "full_product_ratio"]
        save("rollout", head, lines(rows))


def lines(rows: Sequence[tuple[str, str, int, dict[str, float]]]) -> list[list[object]]:
    """A line a network, engine and batch for the results."""
    found: list[list[object]] = []
    for name, engine, size, ms in rows:
        full = f"{ms['full product'] / ms['without']:.2f}" if "full product" in ms else ""
        times = [f"{ms['without']:.2f}", f"{ms['with']:.2f}", f"{ms['with'] / ms['without']:.3f}"]
        found.append([name, engine, size, *times, full])
    return found


if __name__ == "__main__":
    main()
