"""Image folders: Kaggle's, and any <split>/<class>/*, with what lies in them that is no face."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.dataset import open_dataset, read_info
from components.errors import DataError
from components.ingest import IngestOptions, ingest
from components.ingest.images import read_images
from components.labels import CLASSES, SPLITS

SKIP = IngestOptions(skip_bad=True)


def read(folder: Path):
    return read_images(folder, 48, folder.parent, lambda *step: None)


def sizes(info) -> dict[str, int]:
    return {split: sum(counts.values()) for split, counts in info.counts.items()}


def test_kaggles_file_names_tell_the_two_tests_apart(drawn, known, tmp_path) -> None:
    folder = drawn.kaggle(tmp_path / "fer2013")
    assert {path.name for path in folder.iterdir()} == {"train", "test"}
    ingested = ingest(folder, tmp_path, IngestOptions())
    assert ingested.info.fingerprint == known
    assert ingested.info.origin.kind == "folder"
    manifest = open_dataset(ingested.folder).manifest
    told = manifest["source"].str.extract(r"(?P<folder>\w+)/(?P<label>\w+)/(?P<split>\w+)_\d+\.png")
    assert told["split"].tolist() == manifest["split"].tolist()
    assert told["label"].tolist() == [CLASSES[label] for label in manifest["label"]]


def test_the_folder_and_the_table_of_the_same_pixels_are_one_dataset(drawn, known, tmp_path) -> None:
    folder, table = drawn.folder(tmp_path / "faces"), drawn.csv(tmp_path / "faces.csv")
    first, second = (ingest(source, tmp_path, IngestOptions()) for source in (folder, table))
    assert first.info.fingerprint == second.info.fingerprint == known
    assert first.info.files["images.npy"] == second.info.files["images.npy"]


def test_renamed_files_leave_the_fingerprint_unchanged(drawn, known, tmp_path) -> None:
    folder = drawn.folder(tmp_path / "faces")
    names = np.random.default_rng(0).permutation(len(drawn.labels))
    for path, name in zip(sorted(folder.rglob("*.png")), names, strict=True):
        path.rename(path.with_name(f"face {name}.PNG"))
    assert ingest(folder, tmp_path, IngestOptions()).info.fingerprint == known


@pytest.mark.parametrize(
    "convert",
    [
        lambda image: image.convert("RGB"),
        lambda image: image.convert("RGBA"),
        lambda image: image.convert("LA"),
        lambda image: image.convert("P"),
        lambda image: Image.fromarray(np.asarray(image).astype(np.uint16) * 257),
    ],
    ids=["RGB", "RGBA", "gray with alpha", "palette", "16 bits"],
)
def test_the_same_face_in_another_mode_gives_the_same_pixels(convert, few, tmp_path) -> None:
    folder = few.folder(tmp_path / "faces")
    plain = read(folder).images
    for path in folder.rglob("*.png"):
        convert(Image.open(path)).save(path)
    assert (read(folder).images == plain).all()


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".webp", ".gif", ".tiff"])
def test_other_formats_are_read(suffix, few, tmp_path) -> None:
    folder = few.folder(tmp_path / "faces")
    plain = read(folder)
    for path in list(folder.rglob("*.png")):
        Image.open(path).save(path.with_suffix(suffix))
        path.unlink()
    faces = read(folder)
    assert faces.labels.tolist() == plain.labels.tolist()
    assert np.abs(faces.images.astype(int) - plain.images).mean() < 12  # lossy ones too


def test_colour_is_weighed_as_luma_and_any_size_is_fitted(tmp_path) -> None:
    place = tmp_path / "faces" / "Training" / "happy"
    place.mkdir(parents=True)
    for name, colour, size in (("a", (255, 0, 0), (48, 48)), ("b", (0, 255, 0), (200, 90)), ("c", (0, 0, 255), (7, 9))):
        Image.new("RGB", size, colour).save(place / f"{name}.png")
    images = read(tmp_path / "faces").images
    assert images.shape == (3, 48, 48)
    assert [int(image[0, 0]) for image in images] == [76, 150, 29]
    assert (images == images[:, :1, :1]).all()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train", "val", "test"), None),
        (("Train", "validation", "private"), None),
        (("training", "valid", "TEST"), None),
        (("TRAINING", "public", "test"), None),
        (("train", "test", "privatetest"), None),
        (("train", "test", "test"), "halved"),
    ],
)
def test_split_folders_go_by_many_names(names, expected, drawn, known, tmp_path) -> None:
    renamed = np.select([drawn.splits == split for split in SPLITS], names, "")
    folder = type(drawn)(drawn.images, drawn.labels, renamed).folder(tmp_path / "faces")
    info = ingest(folder, tmp_path, IngestOptions()).info
    if expected is None:
        assert info.fingerprint == known
    else:
        public, private = sizes(info)["PublicTest"], sizes(info)["PrivateTest"]
        assert public + private == int((drawn.splits != "Training").sum())
        assert abs(public - private) <= len(CLASSES)


@pytest.mark.parametrize("other", ["anger", "Disgusted", "FEARFUL", "happiness", "sadness", "Surprised", "Neutral"])
def test_class_folders_go_by_other_names(other, tmp_path) -> None:
    place = tmp_path / "faces" / "train" / other
    place.mkdir(parents=True)
    Image.new("L", (48, 48)).save(place / "a.png")
    (label,) = read(tmp_path / "faces").labels
    assert CLASSES[label][:3] == other[:3].casefold()


def test_classes_without_splits_are_held_out_from(drawn, tmp_path) -> None:
    folder = type(drawn)(drawn.images, drawn.labels, np.full(140, ".")).folder(tmp_path / "faces")
    assert {path.name for path in folder.iterdir()} == set(CLASSES)
    info = ingest(folder, tmp_path, IngestOptions(held_out=0.5)).info
    assert info.images == 140
    assert sizes(info)["Training"] == pytest.approx(70, abs=7)


def test_folders_around_the_one_that_matters_and_files_beside_the_images_are_passed_over(few, tmp_path) -> None:
    few.kaggle(tmp_path / "faces" / "archive" / "fer2013")
    plain = read(tmp_path / "faces" / "archive" / "fer2013")
    for name in ("README.md", "archive/fer2013/train/notes.txt", "archive/fer2013/train/happy/.DS_Store"):
        (tmp_path / "faces" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "faces" / name).write_text("no face")
    faces = read(tmp_path / "faces")
    assert faces.bad == []
    assert (faces.images == plain.images).all()
    assert faces.sources == [f"archive/fer2013/{source}" for source in plain.sources]


BAD_FILES = [
    ("Training/happy/text.png", b"no image", r"is no readable image \(UnidentifiedImageError\)"),
    ("Training/happy/empty.jpg", b"", r"is no readable image \(UnidentifiedImageError\)"),
    ("Training/happy/cut.png", None, r"is no readable image \(\w+\)"),
    ("Training/bored/a.png", None, "unknown class 'bored'; it is one of angry, disgust, fear"),
    ("Training/a.png", None, "unknown class 'Training'; it is one of angry, disgust, fear"),
    ("extra/happy/a.png", None, "unknown split 'extra'"),
    ("happy/a.png", None, "unknown split 'faces'"),
]


@pytest.mark.parametrize(("name", "data", "reason"), BAD_FILES, ids=[name for name, _, _ in BAD_FILES])
def test_a_bad_file_is_named_or_left_out_and_recorded(name, data, reason, few, tmp_path) -> None:
    folder = few.folder(tmp_path / "faces")
    whole = next(folder.rglob("*.png")).read_bytes()
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if data is not None else whole[: 300 if "cut" in name else None])
    with pytest.raises(DataError, match=rf"1 bad\.\n  {re.escape(name)}: {reason}"):
        ingest(folder, tmp_path, IngestOptions())
    ingested = ingest(folder, tmp_path, SKIP)
    assert ingested.info.images == len(few.labels)
    (skipped,) = read_info(ingested.folder).origin.skipped
    assert re.match(rf"{re.escape(name)}: {reason}", skipped)


def test_the_first_five_bad_files_are_named_and_the_rest_counted(few, tmp_path) -> None:
    folder = few.folder(tmp_path / "faces")
    place = folder / "Training" / "sad"
    place.mkdir(parents=True, exist_ok=True)
    for i in range(8):
        (place / f"torn {i}.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError) as caught:
        ingest(folder, tmp_path, IngestOptions())
    assert re.findall(r"torn (\d)", str(caught.value)) == ["0", "1", "2", "3", "4"]
    assert "8 bad." in str(caught.value)
    assert "... and 3 more" in str(caught.value)


@pytest.mark.parametrize(
    "inside", [(), ("Training/happy", "test"), (".git/config",)], ids=["bare", "folders", "hidden"]
)
def test_an_empty_folder_is_told(inside, tmp_path) -> None:
    (tmp_path / "faces").mkdir()
    for name in inside:
        (tmp_path / "faces" / name).mkdir(parents=True)
    with pytest.raises(DataError, match="faces is empty: it holds neither a CSV nor <split>/<class>"):
        ingest(tmp_path / "faces", tmp_path, IngestOptions())


@pytest.mark.parametrize("skip", [False, True])
def test_a_folder_without_one_face_is_told(skip, tmp_path) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "README.md").write_text("nothing here")
    with pytest.raises(DataError, match="holds no labelled image"):
        ingest(tmp_path / "faces", tmp_path, IngestOptions(skip_bad=skip))


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        (("PublicTest",), "no image in split PublicTest; it needs Training, PublicTest, PrivateTest"),
        (("Training",), "no image in split Training;"),
        (("PublicTest", "PrivateTest"), r"split PublicTest and PrivateTest; .* Name a share .* --held-out 0\.2"),
    ],
)
def test_a_missing_split_is_named(lost, told, drawn, tmp_path) -> None:
    folder = drawn.take(np.flatnonzero(~np.isin(drawn.splits, lost))).folder(tmp_path / "faces")
    with pytest.raises(DataError, match=told):
        ingest(folder, tmp_path, IngestOptions())


@pytest.mark.parametrize(
    ("name", "told"),
    [("nowhere", "no source .*nowhere: name a CSV"), ("faces.txt", "is no CSV, archive or folder")],
)
def test_what_is_no_source_is_told(name, told, tmp_path) -> None:
    (tmp_path / "faces.txt").write_text("emotion,pixels")
    with pytest.raises(DataError, match=told):
        ingest(tmp_path / name, tmp_path, IngestOptions())
