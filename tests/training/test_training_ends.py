"""How a training ends: early, with no number, for another dataset, on a machine that lacks something; and its cost."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import SafetensorError
from transformers import EvalPrediction, TrainerCallback

from components.dataset import Dataset, file_sha256, open_dataset
from components.errors import RecipeError, TrainingError
from components.ingest import IngestOptions, ingest
from components.training import graph, loop, read_epochs, read_summary
from components.training import train as whole
from components.training.energy import GpuCounter
from components.training.graph import write_missing
from components.training.loop import epoch_metrics, is_used_up
from components.training.recipes import load_preset, override, tiny
from components.training.runs import load_run
from components.training.train import Job, train
from tests.training.conftest import SILENT, run, weights

STALLED = ("epochs=6", "patience=2", "optimizer.lr=1e-8", "schedule.after=plateau", "ema=0", "precision=fp32")


class Killed(Exception):
    """In place of a signal."""


class KillAfter(TrainerCallback):
    """Ends the process, so to say, once an epoch's checkpoint is written."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if round(state.epoch) == self.epoch:
            raise Killed


def job(dataset: Dataset, out: Path, *sets: str) -> Job:
    return Job("quick", override(tiny(load_preset("quick")), ["precision=fp32", *sets]), dataset.root, out)


def kill(killed: Job, after: int) -> None:
    with pytest.raises(Killed):
        train(killed, **SILENT, callbacks=[KillAfter(after)])


@pytest.mark.parametrize(
    ("scores", "patience", "over"),
    [([], 1, False), ([0.1, 0.1], 1, True), ([0.1, 0.2], 1, False), ([0.3, 0.1, 0.2], 3, False),
     ([0.3, 0.1, 0.3], 2, True), ([0.3, 0.1, 0.31], 2, False), ([0.3, 0.2, 0.1], 0, False)],
)  # fmt: skip
def test_patience_counts_from_the_first_of_the_best(scores: list[float], patience: int, over: bool) -> None:
    history = [line for score in scores for line in ({"loss": 1.0}, {"eval_macro_f1": score})]
    assert is_used_up(patience, history) is over


def test_an_epoch_is_judged_by_the_mean_f1_of_its_classes_however_few_their_images() -> None:
    labels, guesses = [0] * 6 + [1] * 3 + [2], [0] * 5 + [1] + [1, 1, 2] + [0]
    metrics = epoch_metrics(EvalPrediction(predictions=np.eye(7)[guesses], label_ids=np.array(labels)))
    f1 = [2 * 5 / (6 + 6), 2 * 2 / (3 + 3), 0]  # 2 hits / (images + answers)
    assert metrics == {"accuracy": pytest.approx(7 / 10), "macro_f1": pytest.approx(sum(f1) / 3)}


def test_a_stopped_training_stops_early_where_it_would_have(tiny_dataset: Dataset, tmp_path: Path) -> None:
    alone = train(job(tiny_dataset, tmp_path / "whole", *STALLED), **SILENT)
    assert alone.epochs == alone.best_epoch + 2, "the best of equals, and two epochs of patience"
    killed = job(tiny_dataset, tmp_path / "killed", *STALLED)
    kill(killed, after=alone.epochs - 1)
    again = train(killed, **SILENT)
    assert (again.epochs, again.best_epoch) == (alone.epochs, alone.best_epoch)
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_one_that_had_stopped_early_and_was_killed_before_its_end_trains_no_more(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = train(job(tiny_dataset, tmp_path / "whole", *STALLED), **SILENT)
    killed = job(tiny_dataset, tmp_path / "killed", *STALLED)
    kill(killed, after=alone.epochs)
    monkeypatch.setattr(loop.FerTrainer, "train", pytest.fail)
    again = train(killed, **SILENT)
    assert [line["epoch"] for line in read_epochs(tmp_path / "killed")] == list(range(1, alone.epochs + 1))
    assert again.best_epoch == alone.best_epoch
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_a_loss_that_is_no_number_ends_the_training_in_that_epoch(tiny_dataset: Dataset, tmp_path: Path) -> None:
    class Spoil(TrainerCallback):
        def on_epoch_begin(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
            if round(state.epoch) == 1:
                next(iter(model.parameters())).data.fill_(float("nan"))

    with pytest.raises(TrainingError, match=r"epoch 2: the loss is no number any more .*Lower optimizer\.lr"):
        train(job(tiny_dataset, tmp_path / "run", "epochs=4"), **SILENT, callbacks=[Spoil()])
    assert len(read_epochs(tmp_path / "run")) == 1
    assert not (tmp_path / "run" / "summary.json").exists()


def test_a_line_of_metrics_cut_short_is_dropped(tiny_dataset: Dataset, tmp_path: Path) -> None:
    killed = job(tiny_dataset, tmp_path / "run", "epochs=2")
    kill(killed, after=1)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": 2, "st')
    assert [line["epoch"] for line in read_epochs(tmp_path / "run")] == [1]
    assert train(killed, **SILENT).epochs == 2
    assert [line["epoch"] for line in read_epochs(tmp_path / "run")] == [1, 2]


def test_weights_that_find_no_room_are_one_clear_error(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr(whole, "save_model", full)
    with pytest.raises(TrainingError, match=r"the weights could not be written.*No space left"):
        train(job(tiny_dataset, tmp_path / "run", "epochs=1"), **SILENT)
    monkeypatch.undo()
    assert train(job(tiny_dataset, tmp_path / "run", "epochs=1"), **SILENT).epochs == 1


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Another dataset version."""
    return open_dataset(ingest("synthetic:images=700,seed=8", tmp_path_factory.mktemp("other"), IngestOptions()).folder)


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_of_another_dataset_or_sample_is_not_gone_on_with(
    finished: bool, tiny_dataset: Dataset, other: Dataset, tmp_path: Path
) -> None:
    own = job(tiny_dataset, tmp_path / "run", "epochs=2")
    train(own, **SILENT) if finished else kill(own, after=1)
    with pytest.raises(TrainingError, match="holds a run of another dataset"):
        train(replace(own, data=other.root), **SILENT)
    sample = tmp_path / "sample.npz"
    sample.write_bytes((tmp_path / "run" / "sample.npz").read_bytes() + b" ")
    with pytest.raises(TrainingError, match="holds a run of another sample"):
        train(replace(own, sample=sample), **SILENT)
    assert train(own, **SILENT).epochs == 2


def test_a_teacher_has_not_learned_the_students_validation_images(tiny_dataset: Dataset, tmp_path: Path) -> None:
    run(tiny_dataset, tmp_path / "teacher", "epochs=1")
    with pytest.raises(RecipeError, match="learned from a part of the images that this recipe validates on"):
        run(tiny_dataset, tmp_path / "student", "epochs=1", "seed=3", f"distill.teacher={tmp_path / 'teacher'}")


def test_a_machine_without_an_exporter_leaves_the_graph_to_the_next(
    tiny_dataset: Dataset, other: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(whole, "can_export", lambda: False)
    monkeypatch.setattr(graph, "can_export", lambda: False)
    train(job(tiny_dataset, tmp_path / "run", "epochs=1", "int8=true"), said.append)
    assert any("onnxscript is not here" in line for line in said)
    assert read_summary(tmp_path / "run").model_sha256 == ""
    assert not (tmp_path / "run" / "model.onnx").exists()
    with pytest.raises(TrainingError, match="install onnxscript"):
        write_missing(tmp_path / "run", tiny_dataset)
    monkeypatch.undo()
    with pytest.raises(TrainingError, match="needs its own dataset"):
        write_missing(tmp_path / "run", other)
    write_missing(tmp_path / "run", tiny_dataset)
    train(job(tiny_dataset, tmp_path / "here", "epochs=1", "int8=true"), **SILENT)
    summary = read_summary(tmp_path / "run")
    assert summary.model_sha256 == file_sha256(tmp_path / "run" / "model.onnx")
    images = np.array(tiny_dataset.images[:16])
    answers = [
        onnxruntime.InferenceSession(tmp_path / name / "model.onnx").run(["probabilities"], {"images": images})[0]
        for name in ("run", "here")
    ]
    assert np.abs(answers[0] - answers[1]).max() < 1e-6
    assert load_run(tmp_path / "run")


def test_a_summary_tells_what_pretraining_and_training_cost(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = SimpleNamespace(source="a meter", read_wh=lambda: 1.5)
    monkeypatch.setattr(whole, "open_meter", lambda _: meter)
    summary = train(job(tiny_dataset, tmp_path / "run", "epochs=2", "pretrain.epochs=3"), **SILENT)
    assert (summary.energy_wh, summary.pretraining_energy_wh, summary.energy_source) == (3.0, 4.5, "a meter")
    lines = read_epochs(tmp_path / "run", "pretrain.jsonl")
    assert summary.pretraining_seconds == pytest.approx(sum(line["seconds"] for line in lines), abs=0.1)
    assert summary.cost["pretraining_energy_wh"] == 4.5
    meter.read_wh = lambda: None
    unknown = train(job(tiny_dataset, tmp_path / "unknown", "epochs=1"), **SILENT)
    assert (unknown.energy_wh, unknown.pretraining_energy_wh, unknown.pretraining_seconds) == (None, None, 0)
    assert "energy_wh" not in json.dumps(unknown.cost)


def test_the_counter_is_that_of_the_board_this_process_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA_VISIBLE_DEVICES hides boards from torch, not from NVML."""
    spent = {"GPU-second": iter([5_000_000, 8_600_000])}
    fake = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(spent[handle]),
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="second"))
    assert GpuCounter().read_wh() == pytest.approx(1.0)
