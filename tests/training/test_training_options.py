"""Whole trainings with the options beyond the plain loop: teacher, frozen parts, sizes, flips, two processes."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from torch.utils.data import WeightedRandomSampler
from transformers import TrainerCallback, ViTConfig, ViTModel

from components.balancing import BalanceRecipe, DataRecipe, build_sample
from components.balancing.records import Sample
from components.dataset import Dataset
from components.errors import ModelNotFound, RecipeError
from components.models.build import build_model
from components.training.losses import distillation
from components.training.module import TrainingModule
from components.training.recipes import load_preset, override, tiny
from components.training.runs import load_run
from components.training.train import Job, train
from tests.training.conftest import SILENT, run, torchrun, weights


class Begun(Exception):
    """Ends a training before its first step."""


@pytest.mark.parametrize("method", ["none", "sampler"])
def test_a_training_draws_and_weighs_as_its_sample_says(method: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    class Look(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **seen: Any) -> None:
            self.module, self.sampler = seen["model"], seen["train_dataloader"].batch_sampler.sampler
            raise Begun

    balance = [f"balance.method={method}", "balance.sampler_power=0.5"]  # power 1 leaves no class weights to see
    recipe, look = override(tiny(load_preset("quick")), ["precision=fp32", *balance]), Look()
    with pytest.raises(Begun):
        train(Job("quick", recipe, tiny_dataset.root, tmp_path / "run"), **SILENT, callbacks=[look])
    sample = Sample.load(tmp_path / "run" / "sample.npz")
    assert np.ptp(sample.class_weights) > 0.1
    assert look.module.class_weights.tolist() == sample.class_weights.tolist()
    assert len(look.sampler) == len(sample.train)
    assert isinstance(look.sampler, WeightedRandomSampler) is (method == "sampler")
    if method == "sampler":
        assert np.ptp(sample.weights) > 0.1
        assert look.sampler.weights.tolist() == sample.weights.tolist()


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
    key, _, value = assignment.split()[0].partition("=")
    with pytest.raises(RecipeError, match=rf"{key} is {value}; it must"):
        override(load_preset("quick"), ["epochs=15", "early_size=32", "early_epochs=1", *assignment.split()])


@pytest.mark.parametrize("assignment", ["early_size=32", "early_epochs=3"])
def test_a_size_without_a_length_or_a_length_without_a_size_is_refused(assignment: str) -> None:
    with pytest.raises(RecipeError, match=r"early_size is \d+ and early_epochs is \d+: .* Set both"):
        override(load_preset("quick"), [assignment])


def test_a_teachers_answers_pull_the_student_towards_it(tiny_dataset: Dataset, tmp_path: Path) -> None:
    run(tiny_dataset, tmp_path / "teacher", "epochs=5")
    shared = ("epochs=3",)
    run(tiny_dataset, tmp_path / "alone", *shared)
    run(tiny_dataset, tmp_path / "taught", *shared, f"distill.teacher={tmp_path / 'teacher'}", "distill.weight=1")
    images = torch.from_numpy(np.array(tiny_dataset.images[:200]))
    with torch.no_grad():
        teacher, alone, taught = (
            load_run(tmp_path / name)(images).log_softmax(1) for name in ("teacher", "alone", "taught")
        )
    distances = [float((teacher.exp() * (teacher - student)).sum(1).mean()) for student in (alone, taught)]
    assert distances[1] < distances[0], distances


def test_several_teachers_teach_by_the_mean_of_their_logits(tiny_dataset: Dataset, tmp_path: Path) -> None:
    """A student held near random weights by its rate leaves the loss to the teachers."""
    for name, epochs in (("one", "1"), ("two", "3")):
        run(tiny_dataset, tmp_path / name, f"epochs={epochs}")
    teachers = [load_run(tmp_path / name) for name in ("one", "two")]
    recipe = override(tiny(load_preset("quick")), ["distill.teacher=one, two", "distill.weight=1", "augment.mixup=0"])
    assert recipe.outside == ("one", "two")
    student = build_model(recipe.model)
    module = TrainingModule(student, tiny_dataset.images, np.ones(7, np.float32), recipe, teachers).train()
    seen: list[torch.Tensor] = []
    student.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    student.register_forward_hook(lambda _, __, logits: seen.append(logits))
    rows = torch.arange(8)
    loss = module(rows, torch.from_numpy(tiny_dataset.labels[:8]), torch.ones(8, dtype=torch.bool))["loss"]
    pixels, logits = seen
    mean = torch.stack([teacher(pixels) for teacher in teachers]).mean(0)
    assert torch.allclose(loss, distillation(logits, mean, recipe.distill.temperature), rtol=1e-5)


def test_a_run_that_goes_on_from_another_is_opened_without_it(tiny_dataset: Dataset, tmp_path: Path) -> None:
    run(tiny_dataset, tmp_path / "first", "epochs=2")
    run(tiny_dataset, tmp_path / "second", f"model.pretrained={tmp_path / 'first'}", "optimizer.lr=1e-8", "epochs=1")
    (tmp_path / "first").rename(tmp_path / "moved")
    first, second = (dict(load_run(tmp_path / name).named_parameters()) for name in ("moved", "second"))
    assert all(torch.allclose(value, second[name], atol=1e-5) for name, value in first.items())


def test_a_vits_run_is_opened_without_the_weights_it_began_with(tiny_dataset: Dataset, tmp_path: Path) -> None:
    """They alone tell how many heads it has: here two, of 16 each."""
    config = ViTConfig(image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                       intermediate_size=64)  # fmt: skip
    ViTModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "vit")
    run(tiny_dataset, tmp_path / "run", "model.name=vit", f"model.pretrained={tmp_path / 'vit'}", "epochs=1")
    (tmp_path / "vit").rename(tmp_path / "moved")
    images = np.array(tiny_dataset.images[:8])
    session = onnxruntime.InferenceSession(tmp_path / "run" / "model.onnx", providers=["CPUExecutionProvider"])
    probabilities = session.run(["probabilities"], {"images": images})[0]
    temperature = json.loads((tmp_path / "run" / "summary.json").read_text())["temperature"]
    with torch.no_grad():
        answers = (load_run(tmp_path / "run")(torch.from_numpy(images)) / temperature).softmax(1)
    assert np.abs(answers.numpy() - probabilities).max() < 1e-4
    save_file(weights(tmp_path / "run"), tmp_path / "run" / "model.safetensors")  # as earlier trainings wrote it
    with pytest.raises(ModelNotFound, match="no ViT weights in"):
        load_run(tmp_path / "run")
    (tmp_path / "moved").rename(tmp_path / "vit")
    assert load_run(tmp_path / "run")


def test_a_run_goes_on_with_the_same_validation_images_alone(tiny_dataset: Dataset, tmp_path: Path) -> None:
    """Another seed draws another slice, most of which the weights have learned: it would judge nothing."""
    run(tiny_dataset, tmp_path / "first", "epochs=1")
    with pytest.raises(RecipeError, match="learned from a part of the images"):
        run(tiny_dataset, tmp_path / "second", f"model.pretrained={tmp_path / 'first'}", "epochs=1", "seed=1")


def test_weights_that_know_the_validation_images_are_refused_by_the_images_themselves(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """Their sample came from elsewhere: seed and data part are the same, the slice is not."""
    _, elsewhere = build_sample(tiny_dataset, DataRecipe(), BalanceRecipe(), seed=5)
    elsewhere.save(tmp_path / "elsewhere.npz")
    recipe = override(tiny(load_preset("quick")), ["epochs=1"])
    first = Job("quick", recipe, tiny_dataset.root, tmp_path / "first", tmp_path / "elsewhere.npz")
    train(first, **SILENT)
    onward = override(recipe, [f"model.pretrained={tmp_path / 'first'}"])
    with pytest.raises(RecipeError, match=r"learned from \d+ of the \d+ images that this training validates on"):
        train(Job("quick", onward, tiny_dataset.root, tmp_path / "second"), **SILENT)
    own = tmp_path / "first" / "sample.npz"
    train(Job("quick", onward, tiny_dataset.root, tmp_path / "third", own), **SILENT)


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


@pytest.mark.e2e
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


@pytest.mark.e2e
def test_a_batch_that_two_processes_cannot_share_is_refused(tiny_dataset: Dataset, tmp_path: Path) -> None:
    done = torchrun(tiny_dataset, tmp_path / "run", 2, "--set", "batch_size=33")
    assert done.returncode != 0
    assert "cannot be shared by 2 processes" in done.stderr


DRAWN = """
import hashlib, os, sys
from pathlib import Path
import torch
import torch.distributed as distributed
from components.training import loop, module
from components.training.__main__ import main
folder, stop, augment, begin = Path("{folder}"), {stop}, module.augment, loop.Progress.on_epoch_begin
def told(images, recipe, strong):
    same = torch.arange(48.0 * 48).reshape(1, 48, 48).repeat(len(images), 1, 1)
    drawn = augment(same, recipe, torch.zeros(len(images), dtype=torch.bool))
    with (folder / f"{distributed.get_rank()}.txt").open("a") as stream:
        stream.write(hashlib.sha256(drawn.numpy().tobytes()).hexdigest() + "\\n")
    return images.float()
def stopped(self, args, state, control, **more):
    if stop and state.epoch and round(state.epoch) == 1:
        distributed.barrier()  # both have written their part of the checkpoint
        os._exit(3)
    return begin(self, args, state, control, **more)
module.augment, loop.Progress.on_epoch_begin = told, stopped
sys.exit(main())
"""


@pytest.mark.e2e
@pytest.mark.timeout(600)  # starts two processes three times
def test_two_processes_vary_their_images_differently_and_go_on_as_they_were(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """What augmentation would make of one and the same picture, step by step, in either process."""

    def trained(name: str, stop: bool) -> "subprocess.CompletedProcess[str]":
        script = tmp_path / f"{name}.py"
        (tmp_path / name / "drawn").mkdir(parents=True, exist_ok=True)
        script.write_text(DRAWN.replace("{folder}", str(tmp_path / name / "drawn")).replace("{stop}", str(stop)))
        sets = ("--set", "epochs=2", "--set", "batch_size=32", "--set", "augment.mixup=0.4")
        return torchrun(tiny_dataset, tmp_path / name / "run", 2, *sets, script=script)

    assert trained("stopped", True).returncode != 0
    for name in ("whole", "stopped"):
        done = trained(name, False)
        assert done.returncode == 0, done.stderr[-3000:]
    assert "resuming from step" in done.stdout
    drawn = {
        name: [(tmp_path / name / "drawn" / f"{rank}.txt").read_text().split() for rank in range(2)]
        for name in ("whole", "stopped")
    }
    first, second = drawn["whole"]
    assert len(first) == len(second) > 10
    assert not set(first) & set(second)
    assert drawn["stopped"] == drawn["whole"]
    whole, resumed = (weights(tmp_path / name / "run") for name in ("whole", "stopped"))
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []
