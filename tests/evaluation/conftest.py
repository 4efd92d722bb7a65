"""Tiny real ONNX models with the ends of an exported one, and one evaluation on drawn faces."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from components.dataset import Dataset
from components.evaluation.evaluate import evaluate
from components.evaluation.records import Evaluation

SIDE = 48
WriteModel = Callable[..., Path]


def graph(weights: npt.NDArray[np.float64], rollout: bool, side: int) -> onnx.ModelProto:
    """softmax(pixels @ weights); the embedding is the logits, the map the image itself in 0..1."""
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "white"], ["shares"]),
        helper.make_node("Flatten", ["shares"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["embedding"]),
        helper.make_node("Softmax", ["embedding"], ["probabilities"], axis=1),
    ]
    ends = {"probabilities": [7], "embedding": [7]}
    if rollout:
        nodes.append(helper.make_node("Identity", ["shares"], ["rollout"]))
        ends["rollout"] = [side, side]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", side, side])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *dims]) for name, dims in ends.items()],
            [
                numpy_helper.from_array(weights.astype(np.float32), "weights"),
                numpy_helper.from_array(np.float32([255]), "white"),
            ],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )


@pytest.fixture
def write_model(tmp_path: Path) -> WriteModel:
    """Writes model.onnx with random weights; options: seed, rollout, side."""

    def write(seed: int = 0, rollout: bool = True, side: int = SIDE) -> Path:
        weights = np.random.default_rng(seed).normal(0, 0.2, (side * side, 7))
        path = tmp_path / f"model-{seed}-{rollout}-{side}.onnx"
        onnx.save(graph(weights, rollout, side), str(path))
        return path

    return write


@pytest.fixture(scope="session")
def learned_model(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linear model, fitted to the training faces by least squares, that is better than a guess."""
    rows = tiny_dataset.rows("Training")
    pixels = np.asarray(tiny_dataset.images[rows]).reshape(len(rows), -1) / 255.0
    centred = pixels - pixels.mean(0)
    kernel = centred @ centred.T + 30 * np.eye(len(rows))
    weights = centred.T @ np.linalg.solve(kernel, np.eye(7)[tiny_dataset.labels[rows]] - 1 / 7)
    path = tmp_path_factory.mktemp("learned") / "model.onnx"
    onnx.save(graph(6 * weights, rollout=True, side=SIDE), str(path))
    return path


@pytest.fixture(scope="session")
def evaluated(
    learned_model: Path, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Evaluation, Path]:
    """The learned model on PublicTest: the record and its folder."""
    out = tmp_path_factory.mktemp("evaluations") / "learned"
    return evaluate(learned_model, tiny_dataset, "PublicTest", out, "learned", 1.5), out
