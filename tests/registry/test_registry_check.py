"""How far a model's answers may lie from its stored examples."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from components.dataset import file_sha256
from components.errors import RegistryError
from components.registry.answer import ask
from components.registry.check import EIGHT_BIT_TOLERANCE, TOLERANCE, check_folder
from components.registry.package import write_examples
from tests.registry.conftest import SIDE, write_model

RELEASE = Path(__file__).parents[2] / "serving" / "release"
Registered = Callable[[float, str], Path]


@pytest.fixture
def registered(tmp_path: Path) -> Registered:
    """Folder of a model whose stored probabilities lie so far from its own, with this recipe.json."""

    def write(away: float, recipe: str) -> Path:
        extra = tmp_path / "extra_files"
        extra.mkdir()
        write_model(tmp_path / "model.onnx", 1)
        images = np.random.default_rng(7).integers(0, 256, (8, SIDE, SIDE), dtype=np.uint8)
        write_examples(images, ask(tmp_path / "model.onnx", images).probabilities + away, extra / "examples.npz")
        (extra / "recipe.json").write_text(recipe)
        return tmp_path

    return write


@pytest.mark.parametrize(("int8", "allowed"), [(False, TOLERANCE), (True, EIGHT_BIT_TOLERANCE)])
def test_a_graph_in_8_bits_may_answer_otherwise_by_some_of_its_steps(
    int8: bool, allowed: float, registered: Registered
) -> None:
    folder = registered(0.9 * allowed, json.dumps({"int8": int8}))
    checked = check_folder(folder)
    assert checked.max_difference == pytest.approx(0.9 * allowed, rel=0.01)
    assert checked.model_sha256 == file_sha256(folder / "model.onnx")


@pytest.mark.parametrize(("int8", "allowed"), [(False, TOLERANCE), (True, EIGHT_BIT_TOLERANCE)])
def test_what_is_further_away_is_refused(int8: bool, allowed: float, registered: Registered) -> None:
    with pytest.raises(RegistryError, match=f"differs from its stored examples by .*; {allowed:g} is allowed"):
        check_folder(registered(1.1 * allowed, json.dumps({"int8": int8})))


@pytest.mark.parametrize("recipe", ["", "[]"])
def test_a_recipe_that_cannot_be_read_is_named(recipe: str, registered: Registered) -> None:
    with pytest.raises(RegistryError, match=r"recipe\.json cannot be read"):
        check_folder(registered(0, recipe))


def test_the_shipped_graph_without_the_runtimes_fusions_lies_well_within_what_is_allowed() -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(RELEASE / "model.onnx"), options, providers=["CPUExecutionProvider"])
    examples = np.load(RELEASE / "examples.npz")
    probabilities = session.run(["probabilities"], {"images": examples["images"]})[0]
    assert json.loads((RELEASE / "recipe.json").read_text())["int8"]
    assert np.abs(probabilities - examples["probabilities"]).max() < EIGHT_BIT_TOLERANCE / 2
