"""The model that lies in serving/release: whole, small, of the form that is promised, and as good as it says."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from components.dataset import open_dataset
from components.evaluation.records import Evaluation
from components.ingest import IngestOptions, ingest
from components.labels import CLASSES, PUBLIC_TEST
from components.registry import read_release
from components.registry.check import EIGHT_BIT_TOLERANCE
from components.registry.release import MOST_BYTES, NEEDED
from components.training.recipes import from_json

REPOSITORY = Path(__file__).parents[2]
RELEASE = REPOSITORY / "serving" / "release"


def test_it_is_whole_and_small() -> None:
    files = {file.name: file.stat().st_size for file in RELEASE.iterdir()}
    assert set(files) == set(NEEDED)
    assert sum(files.values()) < MOST_BYTES
    package = read_release(RELEASE)
    assert package.classes == CLASSES
    recipe = from_json((RELEASE / "recipe.json").read_text())
    assert recipe.model.has_attention
    assert recipe.model.pretrained == "runs/hybrid", "a run of preset hybrid, itself from scratch"


def test_its_graph_takes_pixels_and_answers_with_a_map() -> None:
    session = onnxruntime.InferenceSession(str(RELEASE / "model.onnx"))
    (images,) = session.get_inputs()
    assert (images.name, images.type, images.shape[1:]) == ("images", "tensor(uint8)", [48, 48])
    examples = np.load(RELEASE / "examples.npz")
    probabilities, rollout = session.run(["probabilities", "rollout"], {"images": examples["images"]})
    np.testing.assert_allclose(probabilities, examples["probabilities"], atol=EIGHT_BIT_TOLERANCE)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert rollout.shape == (len(probabilities), 48, 48)
    one = session.run(["probabilities"], {"images": examples["images"][:1]})[0]
    np.testing.assert_allclose(one, probabilities[:1], atol=1e-5, err_msg="a face's answer hangs on its batch")


def test_its_card_says_what_it_was_trained_on_and_what_it_is_not_for() -> None:
    card = (RELEASE / "card.md").read_text()
    judged = Evaluation.from_json((RELEASE / "evaluation.json").read_text())
    for words in ("Intended use", "Where it must not be used", "FER-2013", "PublicTest", "PrivateTest"):
        assert words in card
    assert f"{judged.figures.accuracy:.3f}" in card


def test_a_fresh_home_imports_it_as_champion_once(tmp_path: Path, outside: dict[str, str]) -> None:
    environment = {**outside, "FERLINE_HOME": str(tmp_path)}

    def ferline(*words: str) -> dict[str, object]:
        command = [sys.executable, "-m", "flows.cli", "models", *words, "--json"]
        done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found

    assert ferline("import-release", "--if-none")["aliases"] == ["champion"]
    assert ferline("import-release", "--if-none") == {"imported": None, "aliases": []}
    assert ferline("import-release")["imported"] == "1"


@pytest.mark.fer2013
def test_it_is_as_good_on_real_faces_as_its_record_says(fer2013: Path, tmp_path: Path) -> None:
    dataset = open_dataset(ingest(fer2013, tmp_path, IngestOptions()).folder)
    judged = Evaluation.from_json((RELEASE / "evaluation.json").read_text())
    assert dataset.info.fingerprint == judged.dataset_fingerprint
    rows = dataset.rows(PUBLIC_TEST)
    session = onnxruntime.InferenceSession(str(RELEASE / "model.onnx"))
    parts = [np.asarray(dataset.images[part]) for part in np.array_split(rows, 57)]
    guesses = np.concatenate([session.run(["probabilities"], {"images": part})[0].argmax(1) for part in parts])
    right = int((guesses == dataset.labels[rows]).sum())
    assert abs(right - judged.figures.accuracy * len(rows)) <= 2, "rounding differs between processors, a little"
