"""Run `python -m components.training` as a child and follow what it writes.

A crash of the child is a TrainingError here, never a crash of the flow.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from components.errors import RecipeError, TrainingError, TrainingHopeless

POLL_SECONDS = 1.0
EXPLAINED, HOPELESS = 2, 3  # status of a child that said in one line what is wrong: its input, or how it must end
Epoch = Mapping[str, float]


@dataclass(frozen=True)
class Where:
    """On what a training runs; what it comes to does not depend on it, but for the noise of summation."""

    threads: int | None = None
    """Cores of this machine that it may take; all by default."""
    workers: int = 0
    """Processes on the Ray cluster; 0 trains on this machine."""
    address: str = ""
    """The cluster; one of this machine if empty."""

    @property
    def command(self) -> list[str]:
        """Module that trains, and what only it is told."""
        if not self.workers:
            return ["components.training"]
        return ["components.cluster.train", "--workers", str(self.workers), "--address", self.address]


def run_training(
    recipe: Path,
    preset: str,
    data: Path,
    sample: Path | None,
    out: Path,
    say: Callable[[str], None],
    epoch: Callable[[Epoch], None],
    where: Where | None = None,
    places: Mapping[str, Path] | None = None,
    shared: Path | None = None,
) -> None:
    """Train until the child ends; `say` gets its lines, `epoch` each line of metrics.jsonl, earlier ones included.

    sample: a balanced sample, made of the recipe where there is none.
    where: this machine with all of its cores by default; places: where store URIs of the recipe lie.
    shared: pretrained backbones of trainings that pretrain the same.
    Raises TrainingError with the child's last lines; where it explained itself, RecipeError for wrong input and
    TrainingHopeless for what another try would not mend.
    """
    place = where or Where()
    command = [
        sys.executable, "-m", *place.command, "--preset", preset, "--recipe", str(recipe),
        "--data", str(data), "--out", str(out), *(["--sample", str(sample)] if sample else []),
        *(["--shared", str(shared)] if shared else []),
    ]  # fmt: skip
    for uri, folder in (places or {}).items():
        command += ["--place", f"{uri}={folder}"]
    share = {"OMP_NUM_THREADS": str(place.threads)} if place.threads else {}
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **share},
        preexec_fn=_die_with_parent,
    )  # fmt: skip
    last: deque[str] = deque(maxlen=12)
    reader = threading.Thread(target=_read, args=(child, say, last), daemon=True)
    reader.start()
    seen = 0
    try:
        while child.poll() is None:
            reader.join(POLL_SECONDS)
            seen = _report(out / "metrics.jsonl", seen, epoch)
    finally:
        child.terminate()
        child.wait()
        reader.join()
    _report(out / "metrics.jsonl", seen, epoch)
    if child.returncode in (EXPLAINED, HOPELESS):
        kind = RecipeError if child.returncode == EXPLAINED else TrainingHopeless
        raise kind(f"training of {preset}: {last[-1].removeprefix('error: ')}")
    if child.returncode:
        raise TrainingError(f"training of {preset} ended with status {child.returncode}:\n" + "\n".join(last))


def _read(child: "subprocess.Popen[str]", say: Callable[[str], None], last: "deque[str]") -> None:
    assert child.stdout
    for line in child.stdout:
        last.append(line.rstrip())
        if not line.startswith(("{", "}", '  "')):  # the summary is read from its file
            say(line.rstrip())


def _report(metrics: Path, seen: int, epoch: Callable[[Epoch], None]) -> int:
    """Hand over the epochs after the first `seen`; returns how many there are now."""
    if not metrics.exists():
        return seen
    lines = [line for line in metrics.read_text().splitlines(keepends=True) if line.endswith("\n")]
    for line in lines[seen:]:
        epoch(json.loads(line))
    return max(seen, len(lines))


def _die_with_parent() -> None:
    """On Linux a killed flow takes its training along, so that the next run finds the folder free."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
