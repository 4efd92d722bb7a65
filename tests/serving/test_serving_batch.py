"""Scoring into parts: what offline scoring answers, whole after a stop, from and to an S3 server."""

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.dataset import Dataset
from components.errors import ClusterError, DataError, StoreError, StoreUnreachable
from components.labels import CLASSES
from components.store import LocalStore, S3Store
from serving import batch as module
from serving import offline
from serving.batch import Batch, run_here, score_batch
from serving.model import load_model
from serving.requests import Options
from tests.conftest import KEY, SECRET


@pytest.fixture(scope="module")
def shelf(packages, tmp_path_factory: pytest.TempPathFactory, open_shelf):
    shelf = open_shelf(tmp_path_factory.mktemp("batch") / "home")
    shelf.promote(packages["first"])
    return shelf


@pytest.fixture
def photos(tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty pictures and a file that is none, in parts of sixteen."""
    monkeypatch.setattr(module, "PART", 16)
    root = tmp_path / "photos" / "deep"
    root.mkdir(parents=True)
    for k, image in enumerate(tiny_dataset.images[-40:]):
        Image.fromarray(image).save(root / f"{k:03d}.png")
    (root.parent / "notes.txt").write_text("no picture")
    return root.parent


def make(shelf, source: str, out: str, **options: str) -> Batch:
    folder = shelf.registry.download("champion", Path(tempfile.mkdtemp(dir=shelf.home)))
    return Batch(source, out, folder, shelf.registry.get("champion"), Options(face="none", **options), True)  # type: ignore[arg-type]


def quiet(*_: object) -> None:
    pass


def test_parts_hold_what_offline_scoring_answers(shelf, photos: Path, tmp_path: Path) -> None:
    batch = make(shelf, str(photos), str(tmp_path / "out"))
    done = score_batch(batch, run_here, quiet)
    assert (done.pictures, done.answered, done.errors, done.resumed) == (41, 40, 1, 0)
    assert json.loads((tmp_path / "out" / "done.json").read_text())["answered"] == 40
    parts = sorted((tmp_path / "out").glob("*.parquet"))
    assert [file.name for file in parts] == [module.file_of(k) for k in range(3)]
    whole = pd.concat([pd.read_parquet(file) for file in parts], ignore_index=True)
    model = load_model(batch.folder, batch.version)
    offline.score(photos, tmp_path / "one.parquet", model, Options(face="none"), True, quiet)
    one = pd.read_parquet(tmp_path / "one.parquet").set_index("source").loc[whole["source"]].reset_index()
    for name, length in (("probabilities", len(CLASSES)), ("rollout", model.size[0] * model.size[1])):
        first, second = (np.stack(frame[name].dropna()) for frame in (one, whole))
        assert first.shape == second.shape == (40, length)
        np.testing.assert_allclose(first, second, atol=1e-5)
    assert list(one["answer"].dropna()) == list(whole["answer"].dropna())
    assert list(one["error"].isna()) == list(whole["error"].isna())


def test_only_what_is_missing_is_done_again(shelf, photos: Path, tmp_path: Path) -> None:
    batch = make(shelf, str(photos), str(tmp_path / "out"))

    def stopped(make_worker, parts):
        work = make_worker()
        yield work(parts[0])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_batch(batch, stopped, quiet)
    first = (tmp_path / "out" / module.file_of(0)).stat().st_mtime_ns
    assert not (tmp_path / "out" / "done.json").exists()
    done = score_batch(batch, run_here, quiet)
    assert (done.pictures, done.resumed, done.errors) == (41, 16, 1)
    assert (tmp_path / "out" / module.file_of(0)).stat().st_mtime_ns == first


def test_other_pictures_or_options_are_refused(shelf, photos: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    score_batch(make(shelf, str(photos), out), run_here, quiet)
    with pytest.raises(DataError, match="begun with other"):
        score_batch(make(shelf, str(photos), out, tag="other"), run_here, quiet)
    (photos / "new.png").write_bytes(b"")
    with pytest.raises(DataError, match="begun with other"):
        score_batch(make(shelf, str(photos), out), run_here, quiet)
    with pytest.raises(DataError, match="something else"):
        score_batch(make(shelf, str(photos), str(photos.parent)), run_here, quiet)
    for inside in (photos, photos / "scores"):
        with pytest.raises(DataError, match="would be taken for pictures"):
            make(shelf, str(photos), str(inside))
    assert sorted(os.listdir(photos)) == ["deep", "new.png", "notes.txt"]


def test_a_picture_that_changed_is_another_one(shelf, photos: Path, tmp_path: Path) -> None:
    out, one = str(tmp_path / "out"), photos / "deep" / "000.png"
    score_batch(make(shelf, str(photos), out), run_here, quiet)
    one.write_bytes((photos / "deep" / "001.png").read_bytes())
    with pytest.raises(DataError, match="begun with other"):
        score_batch(make(shelf, str(photos), out), run_here, quiet)


def test_parts_that_workers_wrote_elsewhere_are_missed(shelf, photos: Path, tmp_path: Path) -> None:
    def elsewhere(make_worker, parts):
        return ({"pictures": len(part["names"]), "errors": 0} for part in parts)

    with pytest.raises(DataError, match="3 of 3 parts are not in"):
        score_batch(make(shelf, str(photos), str(tmp_path / "out")), elsewhere, quiet)
    assert not (tmp_path / "out" / "done.json").exists()


def test_a_store_that_is_away_is_no_fault_of_the_pictures(
    shelf, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> bytes:
        raise StoreUnreachable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "read_bytes", away)
        with pytest.raises(StoreUnreachable):
            score_batch(make(shelf, str(photos), str(tmp_path / "out")), run_here, quiet)
    assert not list((tmp_path / "out").glob("*.parquet"))
    assert score_batch(make(shelf, str(photos), str(tmp_path / "out")), run_here, quiet).errors == 1


@pytest.mark.parametrize("seen", ["nothing", "an empty mount point"])
def test_a_folder_that_a_worker_does_not_see_is_no_fault_of_the_pictures(
    seen: str, shelf, photos: Path, tmp_path: Path
) -> None:
    batch, away = make(shelf, str(photos), str(tmp_path / "out")), tmp_path / "away"

    def other_machine(make_worker, parts):
        photos.rename(away)
        if seen != "nothing":
            photos.mkdir()
        return run_here(make_worker, parts)

    with pytest.raises(ClusterError, match="every machine of the cluster must see"):
        score_batch(batch, other_machine, quiet)
    assert not list((tmp_path / "out").glob("*.parquet"))
    shutil.rmtree(photos, ignore_errors=True)
    away.rename(photos)
    assert score_batch(batch, run_here, quiet).errors == 1


def test_a_folder_that_goes_away_on_the_way_stops_its_part(shelf, photos: Path, tmp_path: Path) -> None:
    def unmounted(make_worker, parts):
        work = make_worker()
        yield work(parts[0])
        photos.rename(tmp_path / "away")
        yield work(parts[1])

    with pytest.raises(ClusterError, match="is no folder with pictures"):
        score_batch(make(shelf, str(photos), str(tmp_path / "out")), unmounted, quiet)
    assert [file.name for file in (tmp_path / "out").glob("*.parquet")] == [module.file_of(0)]


def test_one_file_that_is_gone_is_one_error_and_one_that_cannot_be_read_stops_its_part(
    shelf, photos: Path, tmp_path: Path
) -> None:
    first, second = photos / "deep" / "000.png", photos / "deep" / "001.png"

    def gone(make_worker, parts):
        first.unlink()
        return run_here(make_worker, parts)

    assert score_batch(make(shelf, str(photos), str(tmp_path / "out")), gone, quiet).errors == 2

    def unreadable(make_worker, parts):
        second.unlink()
        second.symlink_to(second)  # as a network file system that fails: neither absent nor readable
        return run_here(make_worker, parts)

    with pytest.raises(StoreError, match=r"001\.png in .* cannot be read"):
        score_batch(make(shelf, str(photos), str(tmp_path / "other")), unreadable, quiet)


def test_what_one_row_a_picture_cannot_give_is_refused(shelf, photos: Path, tmp_path: Path) -> None:
    batch = make(shelf, str(photos), str(tmp_path / "out"))
    with pytest.raises(DataError, match="face=all has no place here"):
        score_batch(replace(batch, options=Options(face="all")), run_here, quiet)
    with pytest.raises(DataError, match="is no folder"):
        score_batch(make(shelf, str(photos / "notes.txt"), str(tmp_path / "out")), run_here, quiet)


def test_an_empty_place_is_refused(shelf, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        score_batch(make(shelf, str(nothing), str(tmp_path / "out")), run_here, quiet)
    assert not (tmp_path / "out").exists()


def test_from_and_to_an_s3_server(
    shelf, photos: Path, s3: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in photos.rglob("*.*"):
        s3.put_bytes(f"in/{file.relative_to(photos).as_posix()}", file.read_bytes())
    for name, value in {"ENDPOINT": s3.endpoint, "ACCESS_KEY": KEY, "SECRET_KEY": SECRET}.items():
        monkeypatch.setenv(f"FERLINE_S3_{name}", value)
    done = score_batch(make(shelf, f"{s3.uri}/in", f"{s3.uri}/out"), run_here, quiet)
    assert (done.pictures, done.errors) == (41, 1)
    assert [name for name in s3.list("out/") if name.endswith(".parquet")] == [
        f"out/{module.file_of(k)}" for k in range(3)
    ]
