"""Whole trainings with the options beyond the plain loop: pretraining, teacher, frozen parts, flips, two processes."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from components.dataset import Dataset
from components.errors import ModelNotFound, RecipeError
from components.models.build import build_model
from components.training.device import choose_device
from components.training.module import TrainingModule
from components.training.pretrain import MaskedAutoencoder, pretrain
from components.training.recipes import load_preset, override, tiny
from components.training.records import PretrainRecipe
from components.training.runs import load_run
from components.training.train import Job, train

SILENT = {"say": lambda _: None}


def run(dataset: Dataset, out: Path, *assignments: str, preset: str = "quick"):
    recipe = override(tiny(load_preset(preset)), ["precision=fp32", *assignments])
    return train(Job(preset, recipe, dataset.root, out), **SILENT)


def arguments(dataset: Dataset, out: Path, *more: str) -> list[str]:
    options = ["--preset", "quick", "--set", "precision=fp32", "--data", str(dataset.root), "--out", str(out), "--tiny"]
    return ["-m", "components.training", *options, *more]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


@pytest.mark.parametrize("preset", ["compact", "quick"])
def test_pretraining_comes_first_and_is_not_repeated(preset: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    recipe = override(tiny(load_preset(preset)), ["pretrain.epochs=2", "epochs=1"])
    said: list[str] = []
    train(Job(preset, recipe, tiny_dataset.root, tmp_path / "run"), said.append)
    lines = [json.loads(line) for line in (tmp_path / "run" / "pretrain.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[1]["loss"] < lines[0]["loss"]
    for name in ("summary.json", "model.safetensors"):
        (tmp_path / "run" / name).rename(tmp_path / name)
    train(Job(preset, recipe, tiny_dataset.root, tmp_path / "run"), said.append)
    assert any("pretraining is done" in line for line in said)
    first, second = load_file(tmp_path / "model.safetensors"), weights(tmp_path / "run")
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", ["vit", "compact-vit"])
def test_the_encoder_never_sees_a_masked_patch(name: str) -> None:
    """Other pixels behind the mask change the target, never what the encoder gives."""
    model = build_model(override(tiny(load_preset("quick")), [f"model.name={name}"]).model).eval()
    auto = MaskedAutoencoder(model, PretrainRecipe(epochs=1, width=16)).eval()
    auto.preprocess = torch.nn.Sequential()  # per-image statistics would carry the hidden pixels along
    seen: list[torch.Tensor] = []
    auto.enter.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    pixels = torch.rand(4, model.preprocess.channels, 32, 32)
    for changed in (pixels, pixels + torch.rand_like(pixels)):
        torch.manual_seed(0)
        visible = torch.rand(4, 16).argsort(1)[:, :6]
        shown = torch.zeros(4, 16).scatter(1, visible, 1.0).reshape(4, 1, 4, 4)
        kept = torch.nn.functional.interpolate(shown, scale_factor=8)
        torch.manual_seed(0)
        auto(pixels * kept + changed * (1 - kept))
    assert torch.allclose(seen[0], seen[1], atol=1e-5)


@pytest.mark.parametrize("preset", ["quick", "quick-resnet18"])
def test_first_epochs_on_smaller_faces(preset: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    """What is exported sees faces at their full size, and a network that has seen small ones alone still answers."""
    early = ("early_size=16", "early_epochs=1", "epochs=2")
    run(tiny_dataset, tmp_path / "run", *early, preset=preset)
    model = load_run(tmp_path / "run")
    assert model.preprocess.size == 32
    images = np.array(tiny_dataset.images[:8])
    session = onnxruntime.InferenceSession(tmp_path / "run" / "model.onnx", providers=["CPUExecutionProvider"])
    probabilities = session.run(["probabilities"], {"images": images})[0]
    temperature = json.loads((tmp_path / "run" / "summary.json").read_text())["temperature"]
    with torch.no_grad():
        assert np.abs((model(torch.from_numpy(images)) / temperature).softmax(1).numpy() - probabilities).max() < 1e-4


def test_the_size_of_an_epochs_faces_follows_the_recipe(tiny_dataset: Dataset) -> None:
    recipe = override(tiny(load_preset("quick")), ["early_size=16", "early_epochs=1", "ema=0.9"])
    module = TrainingModule(build_model(recipe.model), tiny_dataset.images, np.ones(7, np.float32), recipe)
    seen = []
    for epoch in range(3):
        module.at_epoch(epoch)
        seen.append((module.model.preprocess.size, module.kept().preprocess.size))
        rows = torch.arange(8)
        assert module(rows, torch.zeros(8, dtype=torch.int64), torch.zeros(8, dtype=torch.bool))["loss"].isfinite()
    assert seen == [(16, 16), (32, 32), (32, 32)]


@pytest.mark.parametrize(
    "assignment",
    ["early_size=20", "early_size=64", "early_size=8", "early_epochs=16", "early_size=24 model.name=vgg16"],
)
def test_a_size_or_a_length_that_cannot_be(assignment: str) -> None:
    with pytest.raises(RecipeError, match=assignment.partition("=")[0]):
        override(load_preset("quick"), ["epochs=15", *assignment.split()])


def test_trainings_that_pretrain_the_same_do_so_once(tiny_dataset: Dataset, tmp_path: Path) -> None:
    shared, said = tmp_path / "shared", []

    def trained(name: str, *assignments: str) -> tuple[str, dict[str, torch.Tensor]]:
        said.clear()
        recipe = override(tiny(load_preset("quick")), ["precision=fp32", "pretrain.epochs=2", "epochs=1", *assignments])
        job = Job("quick", recipe, tiny_dataset.root, tmp_path / name, shared=None if "alone" in name else shared)
        train(job, said.append)
        return " ".join(said), weights(tmp_path / name)

    first, _ = trained("first")
    assert "pretraining, epoch 2 of 2" in first
    second, ours = trained("second", "optimizer.lr=1e-3", "regime=partial")
    assert "pretraining is done" in second
    assert "pretraining, epoch" not in second
    _, alone = trained("alone", "optimizer.lr=1e-3", "regime=partial")
    assert all(torch.equal(ours[name], alone[name]) for name in alone), "as if it had pretrained by itself"
    assert (tmp_path / "second" / "pretrain.jsonl").read_text() == (tmp_path / "first" / "pretrain.jsonl").read_text()
    for number, other in enumerate(("seed=1", "pretrain.mask=0.5", "model.depth=1", "data.validation_share=0.3")):
        words, _ = trained(f"other-{number}", other)
        assert "pretraining, epoch 2 of 2" in words, other
    assert len(list(shared.iterdir())) == 5
    assert not list(shared.rglob("*.tmp"))


def test_a_convolutional_network_has_nothing_to_pretrain_by_masks(tiny_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="has no tokens"):
        run(tiny_dataset, tmp_path / "run", "pretrain.epochs=1", preset="quick-resnet18")


def test_a_teachers_answers_pull_the_student_towards_it(tiny_dataset: Dataset, tmp_path: Path) -> None:
    run(tiny_dataset, tmp_path / "teacher", "epochs=3")
    shared = ("epochs=3", "seed=3")
    run(tiny_dataset, tmp_path / "alone", *shared)
    run(tiny_dataset, tmp_path / "taught", *shared, f"distill.teacher={tmp_path / 'teacher'}", "distill.weight=1")
    images = torch.from_numpy(np.array(tiny_dataset.images[:200]))
    with torch.no_grad():
        teacher, alone, taught = (
            load_run(tmp_path / name)(images).log_softmax(1) for name in ("teacher", "alone", "taught")
        )
    distances = [float((teacher.exp() * (teacher - student)).sum(1).mean()) for student in (alone, taught)]
    assert distances[1] < distances[0], distances


def test_a_run_that_goes_on_from_another_is_opened_without_it(tiny_dataset: Dataset, tmp_path: Path) -> None:
    run(tiny_dataset, tmp_path / "first", "epochs=2")
    run(tiny_dataset, tmp_path / "second", f"model.pretrained={tmp_path / 'first'}", "optimizer.lr=1e-8", "epochs=1")
    (tmp_path / "first").rename(tmp_path / "moved")
    first, second = (dict(load_run(tmp_path / name).named_parameters()) for name in ("moved", "second"))
    assert all(torch.allclose(value, second[name], atol=1e-5) for name, value in first.items())


def test_a_run_goes_on_with_the_same_validation_images_alone(tiny_dataset: Dataset, tmp_path: Path) -> None:
    """Another seed draws another slice, most of which the weights have learned: it would judge nothing."""
    run(tiny_dataset, tmp_path / "first", "epochs=1")
    with pytest.raises(RecipeError, match="learned from a part of the images"):
        run(tiny_dataset, tmp_path / "second", f"model.pretrained={tmp_path / 'first'}", "epochs=1", "seed=1")


def test_a_teacher_that_is_no_finished_run_is_named(tiny_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no finished run: it lacks"):
        run(tiny_dataset, tmp_path / "run", f"distill.teacher={tmp_path}")


def test_the_exported_graph_answers_a_face_and_its_mirror_image_alike(tiny_dataset: Dataset, tmp_path: Path) -> None:
    run(tiny_dataset, tmp_path / "run", "test_flips=true")
    session = onnxruntime.InferenceSession(tmp_path / "run" / "model.onnx", providers=["CPUExecutionProvider"])
    faces = np.array(tiny_dataset.images[:8])
    straight, heat = session.run(["probabilities", "rollout"], {"images": faces})
    mirrored, other = session.run(["probabilities", "rollout"], {"images": np.ascontiguousarray(faces[:, :, ::-1])})
    assert np.abs(straight - mirrored).max() < 1e-5
    assert np.abs(heat - other).max() > 1e-3


@pytest.mark.parametrize("preset", ["quick", "compact", "quick-resnet18", "quick-vgg16"])
def test_an_8_bit_graph_answers_nearly_as_its_network_and_each_face_by_itself(
    preset: str, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    recipe = override(tiny(load_preset(preset)), ["epochs=1"])
    faces = np.array(tiny_dataset.images[::7])
    answers, sizes = [], []
    for name, chosen in (("full", recipe), ("small", override(recipe, ["int8=true"]))):
        train(Job(preset, chosen, tiny_dataset.root, tmp_path / name), **SILENT)
        model = tmp_path / name / "model.onnx"
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        answers.append(session.run(None, {"images": faces}))
        sizes.append(model.stat().st_size)
        alone = np.concatenate([session.run(["probabilities"], {"images": faces[k : k + 1]})[0] for k in range(9)])
        assert np.abs(alone - answers[-1][0][:9]).max() < 1e-5
    full, small = answers
    assert 0 < np.abs(full[0] - small[0]).max() < 0.1
    assert len(full) == len(small)
    assert sizes[1] < sizes[0]
    assert not list((tmp_path / "small").glob("tmp*"))


@pytest.mark.parametrize("preset", ["quick", "quick-resnet18", "quick-vgg16"])
@pytest.mark.parametrize("regime", ["head", "partial"])
def test_frozen_parts_end_as_they_began(preset: str, regime: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    from transformers import set_seed

    recipe = override(tiny(load_preset(preset)), [f"regime={regime}", "epochs=1", "precision=fp32"])
    set_seed(recipe.seed)
    before = build_model(recipe.model).state_dict()
    train(Job(preset, recipe, tiny_dataset.root, tmp_path / "run"), **SILENT)
    after = weights(tmp_path / "run")
    moved = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    still = [name for name in after if name.startswith("backbone") and torch.equal(after[name], before[name])]
    assert moved == ({"head"} if regime == "head" else {"head", "backbone"})
    assert still


def test_two_runs_of_one_seed_are_equal_and_of_another_differ(tiny_dataset: Dataset, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tiny_dataset, tmp_path / name, f"seed={seed}", "epochs=1", "balance.method=sampler", "ema=0.9")
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


EVERY_STATE = [
    word
    for text in (
        "epochs=4",
        "ema=0.9",
        "balance.method=sampler",
        "augment.mixup=0.4",
        "augment.erasing=0.3",
        "augment.policy_operations=1",
    )
    for word in ("--set", text)
]
"""Optimizer, schedule, average of weights, sampler, augmentation."""


@pytest.fixture(scope="module")
def whole(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    out = tmp_path_factory.mktemp("never-stopped") / "run"
    subprocess.run([sys.executable, *arguments(tiny_dataset, out, *EVERY_STATE)], check=True, capture_output=True)
    return out


@pytest.mark.parametrize("moment", [0.2, 0.55, 0.9])
def test_a_run_killed_at_any_moment_ends_with_the_same_weights(
    moment: float, whole: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    steps = json.loads((whole / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments(tiny_dataset, killed, *EVERY_STATE)[2:]],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout
    for line in child.stdout:
        if line.startswith("at step") and int(line.split()[2]) >= moment * steps:
            break
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (killed / "summary.json").exists()
    again = subprocess.run(
        [sys.executable, *arguments(tiny_dataset, killed, *EVERY_STATE)], check=True, capture_output=True, text=True
    )
    assert moment < 0.25 or "resuming from step" in again.stdout  # the first checkpoint ends the first epoch
    first, second = weights(whole), weights(killed)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert [json.loads(line)["epoch"] for line in (killed / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3, 4]


SLOW = """
import sys
from components.training import loop
from components.training.__main__ import main
told = loop.Progress.on_step_end
def on_step_end(self, args, state, control, **more):
    told(self, args, state, control, **more)
    print(f"at step {state.global_step}", flush=True)
loop.Progress.on_step_end = on_step_end
sys.exit(main())
"""


KILLED_AT_THE_END = """
import os, shutil, signal, sys
from components.training.__main__ import main
remove = shutil.rmtree
def rmtree(path, *more, **options):
    if "{when}" == "after":
        remove(path, *more, **options)
    if os.path.basename(path) == "checkpoints" and os.path.exists(os.path.join(os.path.dirname(path), "model.onnx")):
        os.kill(os.getpid(), signal.SIGKILL)
shutil.rmtree = rmtree
sys.exit(main())
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_killed_while_it_clears_up_is_finished(when: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = arguments(tiny_dataset, out, "--set", "epochs=1")
    script = KILLED_AT_THE_END.replace("{when}", when)
    killed = subprocess.run([sys.executable, "-c", script, *options[2:]], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    again = subprocess.run([sys.executable, *options], check=True, capture_output=True, text=True)
    assert "holds the finished run of this recipe" in again.stdout
    assert not (out / "checkpoints").exists()
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_full_disk_is_one_clear_error_and_leaves_the_checkpoint_before(tiny_dataset: Dataset, tmp_path: Path) -> None:
    options = ("--set", "epochs=300")
    child = subprocess.Popen(
        [sys.executable, *arguments(tiny_dataset, tmp_path / "run", *options)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list((tmp_path / "run").glob("checkpoints/*/trainer_state.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (4096, 4096))  # as a full disk: no file grows past 4 kB
    _, words = child.communicate(timeout=120)
    assert child.returncode == 1, words
    assert "could not be written" in words
    assert "Traceback" not in words
    again = subprocess.Popen(
        [sys.executable, *arguments(tiny_dataset, tmp_path / "run", *options)], stdout=subprocess.PIPE, text=True
    )
    assert again.stdout
    told = [again.stdout.readline() for _ in range(2)]
    again.kill()
    assert any("resuming from step" in line for line in told), told


def torchrun(dataset: Dataset, out: Path, processes: int, *more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *arguments(dataset, out, *more)], env=environment, capture_output=True, text=True, timeout=200
    )


def test_two_processes_train_as_one_at_the_same_global_batch(tiny_dataset: Dataset, tmp_path: Path) -> None:
    sets = ("--set", "epochs=3", "--set", "batch_size=32", "--set", "ema=0.9")
    scores = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        done = torchrun(tiny_dataset, out, processes, *sets)
        assert done.returncode == 0, done.stderr[-3000:]
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        assert [line["epoch"] for line in lines] == [1, 2, 3]
        scores.append(lines)
        assert done.stdout.count("epoch 3:") == 1
    steps = [lines[-1]["step"] for lines in scores]
    assert steps[0] == steps[1]
    summaries = [json.loads((tmp_path / str(n) / "summary.json").read_text()) for n in (1, 2)]
    n = summaries[0]["validation_images"]
    for summary in summaries:  # every image exactly once: the accuracy is a whole number of them
        assert summary["validation_accuracy"] * n == pytest.approx(round(summary["validation_accuracy"] * n), abs=1e-6)
    losses = [lines[-1]["validation_loss"] for lines in scores]
    assert losses[0] == pytest.approx(losses[1], rel=0.15)
    assert scores[0][-1]["train_loss"] == pytest.approx(scores[1][-1]["train_loss"], rel=0.15)


def test_two_processes_pretrain_as_one(tiny_dataset: Dataset, tmp_path: Path) -> None:
    """Each by itself, from the same seed: none waits for the other for longer than a collective may."""
    sets = ("--set", "epochs=1", "--set", "pretrain.epochs=2")
    found = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        done = torchrun(tiny_dataset, out, processes, *sets)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("pretraining, epoch 2 of 2") == 1
        found.append(load_file(out / "pretrained.safetensors"))
    alone, shared = found
    assert max(float((alone[name] - shared[name]).abs().max()) for name in alone) < 1e-5


def test_a_batch_that_two_processes_cannot_share_is_refused(tiny_dataset: Dataset, tmp_path: Path) -> None:
    done = torchrun(tiny_dataset, tmp_path / "run", 2, "--set", "batch_size=33")
    assert done.returncode != 0
    assert "cannot be shared by 2 processes" in done.stderr


def test_pretraining_rejects_a_network_it_cannot_mask(tmp_path: Path) -> None:
    recipe = override(tiny(load_preset("quick-vgg16")), ["pretrain.epochs=1"])
    images = np.zeros((4, 48, 48), np.uint8)
    with pytest.raises(RecipeError, match="VGG"):
        pretrain(build_model(recipe.model), images, recipe, choose_device("fp32"), tmp_path, True, lambda _: None)
