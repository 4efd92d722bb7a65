"""Equal runs of one seed, however often they were stopped."""

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from components.dataset import Dataset
from tests.training.conftest import arguments, run, weights


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


@pytest.mark.e2e
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


@pytest.mark.e2e
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


@pytest.mark.e2e
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
