"""`python -m components.training` as a person runs it: a run folder, resume after a kill, bare machine, errors."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from components.dataset import Dataset, file_sha256
from components.errors import TrainingError
from components.training.recipes import load_preset, override, preset_names, tiny
from components.training.train import Job, last_checkpoint, train

FORBIDDEN = (
    "prefect", "mlflow", "pydantic", "minio", "great_expectations", "evidently", "bentoml", "imagehash", "imblearn",
    "onnxscript",
)  # fmt: skip
"""What a bare machine lacks."""


def command(dataset: Dataset, out: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "components.training",
        "--data",
        str(dataset.root),
        "--out",
        str(out),
        "--tiny",
        *more,
    ]


@pytest.fixture(scope="module")
def finished(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "compact"
    train(Job("compact", tiny(load_preset("compact")), tiny_dataset.root, out), say=lambda _: None)
    return out


def test_a_run_folder_holds_everything_that_is_promised(finished: Path) -> None:
    files = {path.name for path in finished.iterdir()}
    assert files >= {"recipe.json", "sample.npz", "metrics.jsonl", "model.safetensors", "model.onnx", "summary.json",
                     "environment.json"}  # fmt: skip
    assert "checkpoints" not in files
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["model_sha256"] == file_sha256(finished / "model.onnx")
    assert summary["epochs"] == len((finished / "metrics.jsonl").read_text().splitlines()) == 2


def test_the_exported_model_answers_as_the_summary_says(finished: Path, tiny_dataset: Dataset) -> None:
    with np.load(finished / "sample.npz") as sample:
        rows = sample["validation"]
    session = onnxruntime.InferenceSession(finished / "model.onnx", providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(["probabilities"], {"images": tiny_dataset.images[rows]})
    accuracy = (probabilities.argmax(1) == tiny_dataset.labels[rows]).mean()
    summary = json.loads((finished / "summary.json").read_text())
    assert accuracy == pytest.approx(summary["validation_accuracy"], abs=2 / len(rows))  # bf16 in training, fp32 here


def test_a_finished_run_is_not_trained_again(finished: Path, tiny_dataset: Dataset) -> None:
    before = (finished / "summary.json").stat().st_mtime_ns
    train(Job("compact", tiny(load_preset("compact")), tiny_dataset.root, finished), say=lambda _: None)
    assert (finished / "summary.json").stat().st_mtime_ns == before


def test_another_recipe_does_not_overwrite_a_run(finished: Path, tiny_dataset: Dataset) -> None:
    other = override(tiny(load_preset("compact")), ["seed=1"])
    with pytest.raises(TrainingError, match="another recipe"):
        train(Job("compact", other, tiny_dataset.root, finished), say=lambda _: None)


@pytest.mark.parametrize("preset", preset_names())
def test_the_tiny_form_of_every_preset_trains(preset: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    recipe = override(tiny(load_preset(preset)), ["epochs=1"])
    summary = train(Job(preset, recipe, tiny_dataset.root, tmp_path / preset), say=lambda _: None)
    assert 0 <= summary.validation_macro_f1 <= 1
    assert summary.model == recipe.model.name


def weights(run: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(run / "model.safetensors")


def test_a_half_written_checkpoint_is_skipped_with_a_warning(tmp_path: Path) -> None:
    whole, half = tmp_path / "checkpoint-5", tmp_path / "checkpoint-10"
    whole.mkdir()
    half.mkdir()
    (whole / "trainer_state.json").write_text('{"global_step": 5}')
    (half / "trainer_state.json").write_text('{"global_')
    lines: list[str] = []
    assert last_checkpoint(tmp_path, lines.append) == str(whole)
    assert "half-written" in lines[0]


def test_training_needs_none_of_the_orchestration_packages(tiny_dataset: Dataset, tmp_path: Path) -> None:
    blocked = textwrap.dedent(f"""
        import sys
        class Without:  # as a missing package looks: every finder passes it over
            def __init__(self, finder):
                self.finder = finder
            def __getattr__(self, name):
                return getattr(self.finder, name)
            def find_spec(self, name, path=None, target=None):
                return None if name.split(".")[0] in {FORBIDDEN} else self.finder.find_spec(name, path, target)
        sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
        from components.training.__main__ import main
        sys.exit(main())
    """)
    arguments = command(tiny_dataset, tmp_path / "run", "--preset", "compact", "--set", "epochs=1")[3:]
    done = subprocess.run([sys.executable, "-c", blocked, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["model_sha256"] == "", "its graph comes later"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--preset", "compat"), "Did you mean"),
        (("--set", "optimizer.lrr=1"), "Did you mean optimizer.lr"),
        (("--set", "model.name=vit", "--set", "model.pretrained=/nowhere"), "/nowhere"),
    ],
)
def test_a_wrong_option_is_one_line_and_status_2(
    options: tuple[str, ...], words: str, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    done = subprocess.run(command(tiny_dataset, tmp_path / "run", *options), capture_output=True, text=True)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_no_dataset_is_named(tmp_path: Path) -> None:
    arguments = ["--data", str(tmp_path), "--out", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, "-m", "components.training", *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert "is no dataset version" in done.stderr


def test_importing_the_room_is_cheap() -> None:
    code = "import sys, components.training; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
