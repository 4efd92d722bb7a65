"""A version becomes a release, the release a version elsewhere; what is not whole is refused."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from components.errors import RegistryError
from components.registry import Registry, check_model, read_decision, read_release, register, write_release
from components.registry import release as module
from tests.registry.conftest import SIDE, Desk, make_package

FACES = np.random.default_rng(1).integers(0, 256, (8, SIDE, SIDE), dtype=np.uint8)


@pytest.fixture
def artifact(desk: Desk, tmp_path: Path) -> Path:
    """The folder of a registered version whose package has everything that a release is made of."""
    package = make_package(tmp_path / "package", seed=40)
    pd.DataFrame({"confidence": np.linspace(0, 1, 5000)}).to_parquet(package.reference)
    save_file({"w": np.full(64, 1 / 3, np.float32), "n": np.arange(3)}, package.weights, {"vit": "config"})
    decision = tmp_path / "decision.json"
    decision.write_text(desk.decide("1", None).to_json())
    made = desk.register(dataclasses.replace(package, decision=decision))
    return desk.registry.download(made.version, tmp_path / "artifact")


def test_a_release_registers_elsewhere_as_the_same_model(artifact: Path, desk: Desk, tmp_path: Path) -> None:
    out = tmp_path / "release"
    sizes = write_release(artifact, FACES, out)
    assert sizes == {file.name: file.stat().st_size for file in out.iterdir()}
    assert (out / "model.onnx").read_bytes() == (artifact / "model.onnx").read_bytes()
    assert len(pd.read_parquet(out / "reference.parquet")) == module.REFERENCE_ROWS
    halved = load_file(out / "model.safetensors")
    with safe_open(out / "model.safetensors", "numpy") as file:
        assert file.metadata() == {"vit": "config"}
    assert (halved["w"].dtype, halved["n"].dtype) == (np.float16, np.int64)
    np.testing.assert_allclose(halved["w"], 1 / 3, rtol=1e-3)

    other = Registry(f"sqlite:///{tmp_path}/other.db", tmp_path / "artifacts", "face-emotion")
    made = register(other, desk.store, read_release(out), who="tests", lock_folder=tmp_path / "locks")
    folder = other.download(made.version, tmp_path / "imported")
    check_model(folder, made.model_sha256)
    np.testing.assert_array_equal(np.load(folder / "extra_files" / "examples.npz")["images"], FACES)
    assert read_decision(out).verdict == "promote"


def test_a_release_never_replaces_a_folder(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    with pytest.raises(RegistryError, match="is there already"):
        write_release(artifact, FACES, tmp_path / "release")


def test_what_is_too_large_leaves_nothing_behind(artifact: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 2_000)
    before = set(os.listdir(tmp_path))
    with pytest.raises(RegistryError, match=r"would take 0\.0 MB .*int8=true"):
        write_release(artifact, FACES, tmp_path / "release")
    assert set(os.listdir(tmp_path)) == before


def test_a_version_that_no_gate_has_seen_makes_no_release(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"no decision\.json"):
        write_release(desk.registry.download("1", tmp_path / "1"), FACES, tmp_path / "release")


@pytest.mark.parametrize("damage", ["missing", "changed", "unreadable"])
def test_a_damaged_release_is_refused(artifact: Path, tmp_path: Path, damage: str) -> None:
    out = tmp_path / "release"
    write_release(artifact, FACES, out)
    match damage:
        case "missing":
            (out / "card.md").unlink()
        case "changed":
            said = json.loads((out / "package.json").read_text())
            (out / "package.json").write_text(json.dumps({**said, "model_sha256": "0" * 64}))
        case "unreadable":
            (out / "package.json").write_text("{")
    with pytest.raises(RegistryError):
        read_release(out)
