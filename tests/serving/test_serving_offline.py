"""Pictures scored without a server: as the service answers them, and on after a stop."""

import json
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.dataset import Dataset
from components.errors import DataError
from components.labels import CLASSES
from serving import offline
from serving.model import ServedModel, load_model
from serving.requests import Options

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shelf(packages, tmp_path_factory: pytest.TempPathFactory, open_shelf):
    shelf = open_shelf(tmp_path_factory.mktemp("offline") / "home")
    for name in ("cnn", "first"):
        shelf.promote(packages[name])
    return shelf


def load(shelf, version: str, folder: Path) -> ServedModel:
    return load_model(shelf.registry.download(version, folder), shelf.registry.get(version))


@pytest.fixture
def model(shelf, tmp_path: Path) -> ServedModel:
    return load(shelf, "champion", tmp_path / "model")


@pytest.fixture
def folder(tiny_dataset: Dataset, tmp_path: Path) -> Path:
    root = tmp_path / "photos" / "deep"
    root.mkdir(parents=True)
    for k, image in enumerate(tiny_dataset.images[-40:]):
        Image.fromarray(image).save(root / f"{k:03d}.png")
    (root.parent / "notes.txt").write_text("no picture")
    return root.parent


def quiet(*_: object) -> None:
    pass


def test_every_picture_has_a_row_as_the_service_answers_it(
    folder: Path, model: ServedModel, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    done = offline.score(folder, tmp_path / "out.parquet", model, Options(tag="t"), True, quiet)
    frame = pd.read_parquet(tmp_path / "out.parquet")
    assert (done.pictures, done.answered, done.errors, done.resumed) == (41, 40, 1, 0)
    assert frame["source"].tolist() == [*(f"deep/{k:03d}.png" for k in range(40)), "notes.txt"]
    assert frame["error"].notna().tolist() == [False] * 40 + [True]
    assert "no picture" in frame["error"].iloc[-1]
    assert frame["probabilities"].iloc[-1] is None
    expected = model.answer(tiny_dataset.images[-40:])
    assert np.allclose(np.stack(frame["probabilities"][:40]), expected.probabilities, atol=1e-5)
    assert expected.rollout is not None
    assert np.allclose(np.stack(frame["rollout"][:40]), expected.rollout.reshape(40, -1), atol=1e-5)
    assert set(frame["role"].dropna()) == {"offline"}
    assert set(frame["tag"].dropna()) == {"t"}
    assert not list(tmp_path.glob(".out*"))


def test_an_archive_and_a_csv_are_answered_alike(
    folder: Path, model: ServedModel, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder))
    rows = [" ".join(map(str, image.ravel())) for image in tiny_dataset.images[-40:]]
    pd.DataFrame({" Pixels": [*rows, rows[0][:-4], "1 2 x", ""]}).to_csv(tmp_path / "faces.csv", index=False)
    frames = []
    for source in ("photos.zip", "faces.csv"):
        offline.score(tmp_path / source, tmp_path / f"{source}.parquet", model, Options(), False, quiet)
        frames.append(pd.read_parquet(tmp_path / f"{source}.parquet"))
    of_zip, of_csv = frames
    assert np.allclose(np.stack(of_zip["probabilities"]), np.stack(of_csv["probabilities"][:40]))
    assert of_csv["source"].tolist()[:2] == ["row 2", "row 3"]
    assert [bool(e) for e in of_csv["error"]] == [False] * 40 + [True] * 3


def test_what_was_done_before_a_stop_is_not_done_again(
    folder: Path, model: ServedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "PART", 16)

    def stop(stage: str, done: int, total: int) -> None:
        if done >= 32:
            raise KeyboardInterrupt

    out = tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        offline.score(folder, out, model, Options(), False, stop)
    assert not out.exists()
    with pytest.raises(DataError, match="other options"):
        offline.score(folder, out, model, Options(face="none"), False, quiet)
    ids = set(pd.concat(map(pd.read_parquet, (tmp_path / ".out.parquet.parts").glob("*.parquet")))["id"])
    done = offline.score(folder, out, model, Options(), False, quiet)
    assert (done.resumed, done.pictures) == (32, 41)
    frame = pd.read_parquet(out)
    assert ids <= set(frame["id"])
    assert frame["source"].is_unique
    with pytest.raises(DataError, match="there already"):
        offline.score(folder, out, model, Options(), False, quiet)


def test_what_cannot_be_scored_is_told(shelf, model: ServedModel, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    for source, words in (("nowhere", "is not there"), ("empty", "no picture"), ("table.csv", "a, b")):
        with pytest.raises(DataError, match=words):
            offline.score(tmp_path / source, tmp_path / "out.parquet", model, Options(), False, quiet)
    with pytest.raises(DataError, match="face=all"):
        offline.score(tmp_path, tmp_path / "out.parquet", model, Options(face="all"), False, quiet)
    cnn = load(shelf, "1", tmp_path / "cnn")
    with pytest.raises(DataError, match="no attention"):
        offline.score(tmp_path, tmp_path / "out.parquet", cnn, Options(), True, quiet)


KILLED = """
import os, signal
import pyarrow.parquet as pq
from flows.cli import app

write = pq.write_table

def killed_in_the_second_part(table, where, **options):
    write(table, where, **options)
    if where.name.startswith("000001"):
        os.kill(os.getpid(), signal.SIGKILL)

pq.write_table = killed_in_the_second_part
app()
"""


def test_the_command_goes_on_after_kill_9(shelf, tiny_dataset: Dataset, tmp_path: Path, outside) -> None:
    rows = [" ".join(map(str, image.ravel())) for image in tiny_dataset.images]
    pd.DataFrame({"pixels": rows * 3}).to_csv(tmp_path / "faces.csv", index=False)
    arguments = ["predict", str(tmp_path / "faces.csv"), "--out", str(tmp_path / "out.parquet"), "--json"]
    begun, done = (
        subprocess.run(
            [sys.executable, *how, *arguments], env={**outside, "FERLINE_HOME": str(shelf.home)}, cwd=REPOSITORY,
            capture_output=True, text=True, check=False,
        )
        for how in (["-c", KILLED], ["-m", "flows.cli"])
    )  # fmt: skip
    assert begun.returncode == -signal.SIGKILL, begun.stderr
    told = json.loads(done.stdout)
    assert (told["pictures"], told["resumed"]) == (2100, 512)
    frame = pd.read_parquet(tmp_path / "out.parquet")
    assert len(frame) == 2100
    assert frame["source"].is_unique
    assert set(frame["answer"]) <= set(range(len(CLASSES)))


def test_another_source_does_not_go_on_with_the_answers_of_the_first(
    model: ServedModel, tmp_path: Path, png, monkeypatch
) -> None:
    """Same names, same options, other pictures."""
    rng = np.random.default_rng(0)
    for place in ("one", "other"):
        (tmp_path / place).mkdir()
        for k in range(40):
            (tmp_path / place / f"{k:02d}.png").write_bytes(png(rng.integers(0, 256, (48, 48), np.uint8)))

    def stop(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(offline, "PART", 16)
    out = tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        offline.score(tmp_path / "one", out, model, Options(), False, stop)
    with pytest.raises(DataError, match="other pictures"):
        offline.score(tmp_path / "other", out, model, Options(), False, quiet)
    assert offline.score(tmp_path / "one", out, model, Options(), False, quiet).resumed == 16
