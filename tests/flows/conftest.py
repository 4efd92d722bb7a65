"""The pipeline as a person runs it: `ferline` in a process of its own, on a small dataset."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
TINY = ("run", "train-pipeline", "--source", "synthetic:images=700,seed=3", "--tiny", "--preset", "quick",
        "--set", "precision=fp32")  # fmt: skip
"""The same champion on every processor, with bf16 or without."""


@dataclass(frozen=True)
class Bench:
    """A home folder and what `ferline` does in it."""

    root: Path
    outside: dict[str, str]

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def environment(self) -> dict[str, str]:
        """This one's, with a home and a gate of its own."""
        return {**self.outside, "FERLINE_HOME": str(self.home), "FERLINE_POLICY": str(self.root / "policy")}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "flows.cli", *arguments]

    def ferline(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*arguments), env=self.environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=560
        )

    def document(self, *arguments: str) -> Any:
        """The one JSON document of a command that ends well."""
        done = self.ferline(*arguments, "--json")
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)

    def gate(self, text: str) -> None:
        """Set the gate's policy."""
        (self.root / "policy" / "gate.yaml").write_text(text)


Promoted = tuple[Bench, dict[str, Any]]


@pytest.fixture(scope="session")
def open_bench(lenient_policy: Path, outside: dict[str, str]) -> Callable[[Path], Bench]:
    """Folder -> a bench in it, with a policy of its own to edit."""

    def build(root: Path) -> Bench:
        shutil.copytree(lenient_policy, root / "policy")
        return Bench(root, outside)

    return build


@pytest.fixture
def bench(tmp_path: Path, open_bench: Callable[[Path], Bench]) -> Bench:
    """An empty home."""
    return open_bench(tmp_path)


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory, open_bench: Callable[[Path], Bench]) -> Promoted:
    """A home in which a tiny pipeline ran to a promoted champion, and the outcome it printed."""
    bench = open_bench(tmp_path_factory.mktemp("promoted"))
    return bench, bench.document(*TINY, "--preset", "quick-resnet18")
