"""The pipeline as a person runs it: `ferline` in a process of its own, on a small dataset."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

LENIENT = """
gate:
  macro_f1_floor: 0.0
  recall_floor: 0.0
  ece_ceiling: 1.0
  latency_ms_ceiling: 10000
  slice_gap: 1.0
  behaviour: {flip: 0.0, light: 0.0, rotation: 0.0, jpeg: 0.0}
  champion: {min_gain: -1.0, tolerated_loss: 1.0}
"""
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Bench:
    """A home folder and what `ferline` does in it."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def environment(self) -> dict[str, str]:
        """This one's, with a home and a gate of its own."""
        outside = {k: v for k, v in os.environ.items() if not k.startswith(("FERLINE_", "PREFECT_", "MLFLOW_"))}
        return {**outside, "FERLINE_HOME": str(self.home), "FERLINE_POLICY": str(self.root / "policy")}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "flows.cli", *arguments]

    def ferline(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*arguments), env=self.environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=280
        )

    def document(self, *arguments: str) -> Any:
        """The one JSON document of a command that ends well."""
        done = self.ferline(*arguments, "--json")
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)

    def gate(self, text: str) -> None:
        """Set the gate's policy."""
        (self.root / "policy" / "gate.yaml").write_text(text)


def open_bench(root: Path) -> Bench:
    (root / "policy").mkdir()
    validation = REPOSITORY / "infra" / "policy" / "validation.yaml"
    (root / "policy" / "validation.yaml").write_text(validation.read_text())
    bench = Bench(root)
    bench.gate(LENIENT)
    return bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty home."""
    return open_bench(tmp_path)


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, dict[str, Any]]:
    """A home in which a tiny pipeline ran to a promoted champion, and the outcome it printed."""
    bench = open_bench(tmp_path_factory.mktemp("promoted"))
    source = ("--source", "synthetic:images=700,seed=3")
    return bench, bench.document(
        "run", "train-pipeline", *source, "--tiny", "--preset", "quick", "--preset", "quick-resnet18"
    )
