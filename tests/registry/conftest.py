"""Tiny real models, a database that is made once, and a registry with four versions that is copied for each test."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from components.gate.records import Candidate, Decision, RuleVerdict
from components.registry import (
    LedgerEntry,
    ModelPackage,
    ModelVersion,
    Registry,
    history,
    promote,
    register,
    rollback,
)
from components.registry.answer import ask
from components.registry.package import write_examples
from components.store import Store, open_store

SIDE = 12


def write_model(path: Path, seed: int, side: int = SIDE) -> None:
    """An ONNX graph with the ends of an exported model: images -> probabilities, embedding."""
    rng = np.random.default_rng(seed)
    weights = {"into": rng.normal(0, 0.01, (side * side, 4)), "out": rng.normal(0, 1, (4, 7))}
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("MatMul", ["flat", "into"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "out"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["B", side, side])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["B", 7]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["B", 4]),
        ],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))


def make_package(folder: Path, seed: int, *, broken: bool = False) -> ModelPackage:
    """A whole package; a broken one holds examples that its model does not answer."""
    folder.mkdir(parents=True)
    write_model(folder / "model.onnx", seed)
    images = np.random.default_rng(7).integers(0, 256, (8, SIDE, SIDE), dtype=np.uint8)
    probabilities = ask(folder / "model.onnx", images).probabilities
    write_examples(images, np.roll(probabilities, 1, axis=1) if broken else probabilities, folder / "examples.npz")
    save_file({"out": np.full(4, seed, np.float32)}, folder / "model.safetensors")
    for name in ("recipe.json", "summary.json", "evaluation.json"):
        (folder / name).write_text(json.dumps({"seed": seed}))
    (folder / "model_card.md").write_text("# card\n")
    (folder / "reference.parquet").write_bytes(b"columns")
    return ModelPackage(
        preset=f"tiny-{seed}",
        model=folder / "model.onnx",
        weights=folder / "model.safetensors",
        recipe=folder / "recipe.json",
        summary=folder / "summary.json",
        examples=folder / "examples.npz",
        reference=folder / "reference.parquet",
        evaluation=folder / "evaluation.json",
        card=folder / "model_card.md",
        fingerprint="f" * 64,
        temperature=1.25,
        metrics={"macro_f1": 0.5 + seed / 100, "accuracy": 0.6},
        uncertain_below=0.4,
    )


@dataclass(frozen=True)
class Desk:
    """A registry, its store and its lock folder."""

    root: Path
    registry: Registry
    store: Store

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    def register(self, package: ModelPackage) -> ModelVersion:
        return register(self.registry, self.store, package, who="tests", lock_folder=self.locks)

    def decide(
        self, challenger: str, champion: str | None, verdict: Literal["promote", "reject"] = "promote"
    ) -> Decision:
        """What the gate would write about two versions."""

        def candidate(number: str) -> Candidate:
            return Candidate(f"v{number}", self.registry.get(number).model_sha256, number, "e" * 64)

        passed = verdict == "promote"
        return Decision(
            decided_at="2026-01-01T00:00:00+00:00",
            verdict=verdict,
            challenger=candidate(challenger),
            champion=candidate(champion) if champion else None,
            dataset_fingerprint="f" * 64,
            split="PublicTest",
            test_digest="d" * 64,
            n=100,
            policy={},
            rules=(RuleVerdict("macro_f1_floor", 0.6 if passed else 0.2, 0.4, passed, "macro-F1 at least 0.4"),),
        )

    def promote(self, version: str, decision: Decision | None) -> LedgerEntry:
        uri = f"decisions/{version}.json" if decision else None
        return promote(
            self.registry, self.store, version=version, decision=decision, decision_uri=uri, who="tests",
            lock_folder=self.locks,
        )  # fmt: skip

    def force(self, version: str, reason: str) -> LedgerEntry:
        return promote(
            self.registry, self.store, version=version, decision=None, decision_uri=None, who="tests",
            lock_folder=self.locks, force=True, reason=reason,
        )  # fmt: skip

    def rollback(self, to: str | None = None) -> LedgerEntry:
        return rollback(
            self.registry, self.store, who="tests", lock_folder=self.locks, to=to, reason="worse in service"
        )

    def aliases(self) -> dict[str, str]:
        """Alias -> version."""
        return {alias: version.version for version in self.registry.versions() for alias in version.aliases}

    def statuses(self) -> dict[str, str]:
        """Version -> status."""
        return {version.version: version.status for version in self.registry.versions()}

    def actions(self) -> list[tuple[str, str]]:
        """The ledger in short, without registrations."""
        entries = history(self.store, self.registry.model_name)
        return [(entry.action, entry.to_version) for entry in entries if entry.action != "register"]


def open_desk(root: Path, artifacts: Path) -> Desk:
    registry = Registry(f"sqlite:///{root / 'mlflow.db'}", artifacts, "faces")
    return Desk(root, registry, open_store(str(root / "store")))


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: its tables take 5.5 s to make."""
    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    assert Registry(f"sqlite:///{path}", path.parent, "none").versions() == ()
    return path


@pytest.fixture(scope="session")
def stocked(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with versions 1 to 4 registered; 3 does not answer its examples."""
    root = tmp_path_factory.mktemp("stocked")
    shutil.copy(database, root / "mlflow.db")
    desk = open_desk(root, root / "artifacts")
    for seed in (1, 2, 3, 4):
        desk.register(make_package(root / "packages" / str(seed), seed, broken=seed == 3))
    return root


@pytest.fixture
def desk(stocked: Path, tmp_path: Path) -> Desk:
    """A copy of the stocked home that a test may change; the artifacts are shared."""
    shutil.copy(stocked / "mlflow.db", tmp_path / "mlflow.db")
    shutil.copytree(stocked / "store", tmp_path / "store")
    return open_desk(tmp_path, stocked / "artifacts")


@pytest.fixture
def empty_desk(database: Path, tmp_path: Path) -> Desk:
    """An empty registry."""
    root = tmp_path / "empty"
    root.mkdir()
    shutil.copy(database, root / "mlflow.db")
    return open_desk(root, root / "artifacts")


@pytest.fixture
def package(tmp_path: Path) -> Callable[[int], ModelPackage]:
    """Make a package by seed."""
    return lambda seed: make_package(tmp_path / "packages" / str(seed), seed)
