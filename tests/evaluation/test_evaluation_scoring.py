"""Asking a real ONNX model."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from components.dataset import Dataset
from components.errors import DataError, ModelNotFound
from components.evaluation import scoring
from components.evaluation.scoring import Speed, open_model, score, speed


@pytest.fixture
def faces(tiny_dataset: Dataset) -> np.ndarray:
    return np.asarray(tiny_dataset.images[:50])


def test_probabilities_do_not_depend_on_the_batch(write_model, faces: np.ndarray) -> None:
    whole, parts = (score(write_model(), faces, batch_size=size, threads=1).probabilities for size in (256, 7))
    assert whole.shape == (50, 7)
    assert np.abs(whole.sum(1) - 1).max() < 1e-5
    assert np.abs(whole - parts).max() < 1e-5, f"max {np.abs(whole - parts).max():.2e}"


@pytest.mark.parametrize("rollout", [False, True])
@pytest.mark.parametrize("embedding", [False, True])
def test_map_and_embedding_come_on_request(write_model, faces: np.ndarray, rollout: bool, embedding: bool) -> None:
    outputs = score(write_model(), faces, rollout=rollout, embedding=embedding)
    assert (outputs.rollout is not None, outputs.embedding is not None) == (rollout, embedding)
    if outputs.rollout is not None:
        assert outputs.rollout.shape == faces.shape
        assert np.abs(outputs.rollout - faces / np.float32(255)).max() < 1e-6


def test_a_model_without_a_map_answers_none(write_model, faces: np.ndarray) -> None:
    assert score(write_model(rollout=False), faces, rollout=True).rollout is None


def test_progress_counts_images_up_to_all(write_model, faces: np.ndarray) -> None:
    seen: list[tuple[int, int]] = []
    score(write_model(), faces, batch_size=20, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(20, 50), (40, 50), (50, 50)]


def test_a_model_is_timed(write_model, faces: np.ndarray) -> None:
    timed = speed(open_model(write_model()), faces)
    assert 0 < timed.latency_ms < 1000
    assert timed.images_per_second > 1


def test_a_speed_is_the_median_in_milliseconds_and_in_images_a_second(
    write_model, faces: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {1: [0.002, 0.004, 0.9], 50: [0.1, 0.5, 2]}
    monkeypatch.setattr(scoring, "_seconds", lambda session, images, runs: known[len(images)])
    assert speed(open_model(write_model()), faces) == Speed(pytest.approx(4), pytest.approx(100))


def test_a_missing_or_broken_model_is_an_error_with_its_path(tmp_path: Path, faces: np.ndarray) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    for path in (tmp_path / "missing.onnx", broken):
        with pytest.raises(ModelNotFound, match=path.name):
            score(path, faces)


def test_a_model_with_other_ends_is_refused_with_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    node = helper.make_node("Identity", ["pixels"], ["logits"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 7]) for name in ("pixels", "logits")]
    model = helper.make_model(
        helper.make_graph([node], "other", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(model, str(path))
    with pytest.raises(ModelNotFound, match="takes pixels and gives logits"):
        open_model(path)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((2, 64, 64), np.uint8), "takes images of 48x48, these are 64x64"),
        (np.zeros((2, 48, 48), np.float32), "float32"),
        (np.zeros((48, 48), np.uint8), r"uint8 \[48, 48\]"),
        (np.zeros((0, 48, 48), np.uint8), "N >= 1"),
    ],
)
def test_images_that_are_not_the_models_are_refused(write_model, images: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        score(write_model(), images)
