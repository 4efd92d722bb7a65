"""Runs and versions in a real MLflow on SQLite."""

import json
import subprocess
import sys

import numpy as np
import pytest

from components.dataset import DatasetInfo, Origin, file_sha256
from components.errors import ModelNotFound
from components.registry import Registry

INFO = DatasetInfo("a" * 64, 10, 12, 12, {"Training": {"angry": 10}}, Origin("synthetic", "synthetic"), {})


def test_metrics_of_an_open_run_are_visible_to_another_client_at_once(empty_desk):
    with empty_desk.registry.track("k", "quick", {"epochs": 3}) as run:
        run.log_epoch({"epoch": 1, "train_loss": 1.5})
        other = Registry(empty_desk.registry.tracking_uri, empty_desk.root / "artifacts", "faces").client
        seen = other.get_run(run.run_id)
        assert (seen.info.status, seen.data.metrics["train_loss"]) == ("RUNNING", 1.5)
        assert seen.data.params == {"epochs": "3"}
    assert other.get_run(run.run_id).info.status == "FINISHED"


def test_a_run_with_the_same_key_goes_on_and_repeats_no_epoch(empty_desk):
    registry = empty_desk.registry
    first = registry.track("k", "quick", {"lr": 0.1})
    first.log_epoch({"epoch": 1, "train_loss": 1.5})
    first.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert registry.client.get_run(first.run_id).info.status == "FAILED"
    with registry.track("k", "quick", {"lr": 0.2, "batch": 8}) as second:
        for epoch, loss in ((1, 9.0), (2, 1.25)):
            second.log_epoch({"epoch": epoch, "train_loss": loss})
    history = registry.client.get_metric_history(first.run_id, "train_loss")
    assert second.run_id == first.run_id
    assert [(point.step, point.value) for point in history] == [(1, 1.5), (2, 1.25)]
    assert registry.client.get_run(first.run_id).data.params == {"lr": "0.1", "batch": "8"}


def test_two_runs_can_be_open_in_one_process(empty_desk):
    with empty_desk.registry.track("a", "a", {}) as one, empty_desk.registry.track("b", "b", {}) as two:
        one.log_metrics({"macro_f1": 0.1})
        two.log_metrics({"macro_f1": 0.2})
    read = empty_desk.registry.client.get_run
    assert [read(run.run_id).data.metrics["macro_f1"] for run in (one, two)] == [0.1, 0.2]


def test_more_than_a_hundred_parameters_are_kept(empty_desk):
    wanted = {f"p{i}": i for i in range(130)}
    with empty_desk.registry.track("k", "wide", wanted) as run:
        pass
    assert empty_desk.registry.client.get_run(run.run_id).data.params == {name: str(v) for name, v in wanted.items()}


def test_the_dataset_is_an_input_by_reference(empty_desk):
    with empty_desk.registry.track("k", "quick", {}) as run:
        run.log_dataset("s3://faces/datasets/aaaa", INFO)
    dataset = empty_desk.registry.client.get_run(run.run_id).inputs.dataset_inputs[0].dataset
    assert json.loads(dataset.source) == {"uri": "s3://faces/datasets/aaaa"}
    assert json.loads(dataset.profile)["counts"] == {"Training": {"angry": 10}}
    assert dataset.digest == "a" * 36


def test_system_metrics_of_a_run_are_kept(empty_desk, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    with empty_desk.registry.track("k", "quick", {}) as run:
        run._monitor._shutdown_event.wait(1.0)
    names = empty_desk.registry.client.get_run(run.run_id).data.metrics
    assert "system/cpu_utilization_percentage" in names


def test_pictures_and_folders_are_kept_with_the_run(empty_desk, tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "one.md").write_text("| a |")
    (tmp_path / "curve.png").write_bytes(b"png")
    with empty_desk.registry.track("k", "quick", {}) as run:
        run.log_files(tmp_path / "curve.png", "pictures")
        run.log_files(tmp_path / "tables", "tables")
    found = list((empty_desk.root / "artifacts" / run.run_id / "artifacts").rglob("*.*"))
    assert {path.name for path in found} == {"curve.png", "one.md"}


def test_a_registered_version_holds_everything_and_no_pickle(desk, tmp_path):
    folder = desk.registry.download("1", tmp_path)
    extra = {path.name for path in (folder / "extra_files").iterdir()}
    assert extra == {
        "model.safetensors", "recipe.json", "summary.json", "examples.npz", "reference.parquet", "evaluation.json",
        "model_card.md", "package.json",
    }  # fmt: skip
    facts = json.loads((folder / "extra_files" / "package.json").read_text())
    assert (facts["temperature"], facts["classes"][0]) == (1.25, "angry")
    assert facts["model_sha256"] == file_sha256(folder / "model.onnx") == desk.registry.get("1").model_sha256
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [
        path for path in files if path.suffix in (".pkl", ".pickle", ".pt") or b"cloudpickle" in path.read_bytes()
    ]


def test_the_signature_and_example_are_those_of_the_graph(desk, tmp_path):
    from mlflow.models import Model

    folder = str(desk.registry.download("1", tmp_path))
    model = Model.load(folder)
    assert [(spec.name, spec.shape) for spec in model.signature.inputs] == [("images", (-1, 12, 12))]
    assert [spec.name for spec in model.signature.outputs] == ["probabilities", "embedding"]
    example = model.load_input_example(folder)
    assert np.asarray(example["images"]).shape == (1, 12, 12)


def test_registering_the_same_model_again_gives_the_same_version(empty_desk, package):
    one, two = package(1), package(2)
    first = empty_desk.register(one)
    made = [empty_desk.registry.register(two), empty_desk.register(two), empty_desk.register(one)]
    assert [version.version for version in made] == ["2", "2", "1"]
    assert [version.version for version in empty_desk.registry.versions()] == ["2", "1"]
    assert first.metrics == {"macro_f1": 0.51, "accuracy": 0.6}


def test_a_version_knows_the_run_that_made_it(empty_desk, package):
    with empty_desk.registry.track("k", "quick", {}) as run:
        made = empty_desk.registry.register(package(1), run.run_id)
    assert made.source_run == run.run_id
    assert empty_desk.registry.client.get_run(run.run_id).outputs.model_outputs


def test_aliases_move_and_vanish(desk):
    registry = desk.registry
    registry.set_alias("canary", "1")
    registry.set_alias("canary", "2")
    assert registry.get("canary").version == "2"
    registry.delete_alias("canary")
    assert registry.find("canary") is None


def test_an_unknown_version_is_answered_with_what_there_is(desk, empty_desk):
    with pytest.raises(ModelNotFound, match=r"no version or alias '9'; it has: 4 @challenger, 3, 2, 1\."):
        desk.registry.get("9")


def test_an_empty_registry_has_no_versions(empty_desk):
    assert empty_desk.registry.versions() == ()
    with pytest.raises(ModelNotFound, match="it has: none"):
        empty_desk.registry.get("champion")


def test_importing_the_room_imports_neither_mlflow_nor_torch_nor_onnx():
    program = (
        "import sys, components.registry, components.registry.check; "
        "print(sorted({'mlflow', 'torch', 'onnx'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
