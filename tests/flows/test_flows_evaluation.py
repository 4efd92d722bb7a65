"""`ferline evaluate --final`: what the ledger says of earlier openings, and whom it stops."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from components.dataset import Dataset
from components.errors import GateError
from components.ingest import NewFaces, extend
from components.registry import LedgerEntry, history
from flows import evaluation
from flows.candidates import ModelFolder
from flows.context import store


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lines said while models of any bytes are opened; nothing is scored, and no registry is asked."""

    def model_folder(uri: str) -> ModelFolder:
        return ModelFolder(Path(uri) / "model.onnx", 1.0, Path(uri).name)

    def evaluate(onnx: Path, dataset: Dataset, split: str, folder: Path, name: str, temperature: float) -> str:
        folder.mkdir(parents=True)
        (folder / "evaluation.json").write_text("{}")
        return f"{name} on {split}"

    monkeypatch.setattr(evaluation, "model_folder", model_folder)
    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    monkeypatch.setattr(evaluation, "fetch", Path)
    monkeypatch.setattr(evaluation, "registry", lambda: SimpleNamespace(model_name="faces"))
    return []


@pytest.fixture
def opened(said: list[str], tiny_dataset: Dataset, tmp_path: Path) -> Any:
    """Name of a model -> it is opened; its bytes are its name's first letter."""

    def open_(name: str, data: Path = tiny_dataset.root, final: bool = True, again: bool = False) -> object:
        run = tmp_path / name
        run.mkdir(exist_ok=True)
        (run / "model.onnx").write_bytes(name[:1].encode())
        return evaluation.evaluate_run(str(run), str(data), final, f"end of {name}", again, None, said.append)[0]

    return open_


def openings() -> list[LedgerEntry]:
    return [entry for entry in history(store(), "faces") if entry.action == "open"]


def test_earlier_openings_of_one_private_test_are_told_with_model_time_and_reason(opened: Any, said: list[str]) -> None:
    assert opened("first") == "first on PrivateTest"
    assert said == []
    assert opened("second") == "second on PrivateTest"
    (line,) = said
    entry = openings()[0]
    assert all(word in line for word in ("first", entry.model_sha256[:12], entry.at, "end of first"))
    assert len(openings()) == 2


def test_a_second_opening_of_the_same_model_is_refused_unless_again(opened: Any, said: list[str]) -> None:
    opened("first")
    for same in ("first", "f-copy"):  # by its graph, whatever its folder is called
        with pytest.raises(GateError, match="--again") as error:
            opened(same)
        assert openings()[0].at in str(error.value)
        assert "end of first" in str(error.value)
        assert f"evaluations/{openings()[0].model_sha256[:16]}-" in str(error.value)
    assert len(openings()) == 1, "what is refused is not recorded"
    assert opened("first", again=True) == "first on PrivateTest"
    assert [entry.model_sha256 for entry in openings()] == [openings()[0].model_sha256] * 2


def test_another_dataset_has_a_private_test_of_its_own_and_public_test_is_never_recorded(
    opened: Any, said: list[str], tmp_path: Path
) -> None:
    from components.ingest import IngestOptions, ingest

    other = ingest("synthetic:images=100,seed=8", tmp_path / "other", IngestOptions()).folder
    opened("first")
    opened("first", data=other)
    assert opened("first", final=False) == "first on PublicTest"
    assert said == []
    assert len(openings()) == 2


def test_the_same_test_images_in_a_grown_version_are_the_same_private_test(
    opened: Any, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 48, 48), np.uint8)
    new = NewFaces(images, np.zeros(40, np.int64), [f"{k:032x}" for k in range(40)])
    grown = extend(tiny_dataset, new, 0.3, tmp_path / "grown").dataset.folder
    opened("first")
    with pytest.raises(GateError, match="--again"):
        opened("first", data=grown)


def test_changed_code_gives_figures_a_place_of_their_own(
    opened: Any, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place() -> str:
        run = str(tmp_path / "first")
        return evaluation.evaluate_run(run, str(tiny_dataset.root), False, "", False, None, print)[1]

    opened("first", final=False)
    before = place()
    assert before == place()
    monkeypatch.setattr(evaluation, "evaluation_code", lambda: "changed")
    assert place() != before
    assert (Path(before) / "evaluation.json").is_file()


def test_an_opening_is_refused_before_anything_is_scored(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened("first")
    monkeypatch.setattr(evaluation, "evaluate", lambda *_: pytest.fail("it was scored"))
    with pytest.raises(GateError):
        opened("first")
