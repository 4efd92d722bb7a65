"""A made-up comparison of models, for tests of its figures and of its page."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper

from components.dataset import Dataset
from components.evaluation.digest import images_digest
from components.evaluation.metrics import by_class, confusion, figures
from components.evaluation.records import Evaluation
from components.labels import CLASSES
from components.report import ModelRun
from components.report.comparison import Contest, Repeat
from components.training.recipes import load_preset
from components.training.records import RunSummary

SEEDS = (0, 1, 2)

NAMES = ("vit-baseline-48", "vit-warmup-48", "vgg16-48")
HARDWARE = "CPU, 2 threads, AVX512, torch 2.14.1"


def looking_model(path: Path) -> Path:
    """A model.onnx whose map is the image itself; what it answers is not asked."""
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "white"], ["rollout"]),
        helper.make_node("ReduceMean", ["rollout"], ["light"], axes=[2], keepdims=0),
        helper.make_node("MatMul", ["light", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    held = {"white": np.float32([255]), "weights": np.eye(48, 7, dtype=np.float32)}
    ends = [("probabilities", [7]), ("rollout", [48, 48])]
    graph = helper.make_graph(
        nodes, "looking", [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 48, 48])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *dims]) for name, dims in ends],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def repeat(name: str, seed: int, share: float, dataset: Dataset, model: Path) -> Repeat:
    """A made-up training whose model is right on that share of PublicTest."""
    rng = np.random.default_rng([seed, len(name)])
    rows = dataset.rows("PublicTest")
    labels = dataset.labels[rows].astype(np.int64)
    answers = np.where(rng.random(len(labels)) < share, labels, rng.integers(0, 7, len(labels)))
    given = 0.3 / 7 + 0.7 * np.eye(7)[answers]
    recipe = replace(load_preset(name), seed=seed)
    lines = [
        {"epoch": e, "train_loss": 2 / e, "validation_loss": 1.9 / e**0.5, "validation_macro_f1": share * e / 5}
        for e in range(1, 5)
    ]
    summary = RunSummary(
        preset=name, model=recipe.model.name, parameters=2_700_000, best_epoch=4, epochs=4, train_images=500,
        validation_images=30, validation_accuracy=0.5, validation_macro_f1=0.4, temperature=1.0, seconds=300.0 + seed,
        images_per_second=150.0, peak_memory_mb=900.0, device="CPU", device_reason="", fingerprint="f",
        image_height=48, image_width=48, has_rollout=recipe.model.has_attention, recipe_sha256="r", sample_sha256="s",
        model_sha256=f"{name}{seed}", energy_wh=1.5 + seed, energy_source="codecarbon",
    )  # fmt: skip
    manifest = dataset.manifest.loc[rows]
    evaluation = Evaluation(
        model=name, split="PublicTest", test_digest=images_digest(manifest), dataset_fingerprint="f",
        figures=figures(given, labels), without_twins=figures(given[5:], labels[5:]), twins=5,
        per_class=by_class(labels, answers), confusion=tuple(map(tuple, confusion(labels, answers).tolist())),
        ece=0.05, ece_uncalibrated=0.1, temperature=1.0, slices=(), behaviour=(), latency_ms=1.0,
        images_per_second=500.0,
    )  # fmt: skip
    columns = {f"p_{c}": given[:, k] for k, c in enumerate(CLASSES)}
    predictions = pd.DataFrame({"id": manifest["id"].to_numpy(), "label": labels, **columns})
    run = ModelRun(name, summary, lines, evaluation, predictions, model)
    apart = (f"log of seed {seed}", 600.0, 7.5) if recipe.pretrain.epochs else ("", 0.0, 0.0)
    uris = f"/home/somebody/store/runs/{name}-{seed}", f"/home/somebody/store/evaluations/{name}-{seed}"
    return Repeat(seed, *uris, recipe, HARDWARE, "c0ffee1", "", *apart, run)


def hold(names: Sequence[str], seeds: Sequence[int], dataset: Dataset, folder: Path) -> Contest:
    """A contest in which every later model is better."""
    model = looking_model(folder / "model.onnx")
    shares = np.linspace(0.3, 0.8, len(names))
    models = {
        name: [repeat(name, seed, share, dataset, model) for seed in seeds]
        for name, share in zip(names, shares, strict=True)
    }
    command = "ferline compare --source faces"
    return Contest("Models compared on faces", command, "2026-11-26T07:00:00+00:00", dataset, models, {})
