"""CSVs of faces: every spelling of FER-2013's, and each thing that can be wrong with a row."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from components.dataset import Dataset, open_dataset, read_info
from components.errors import DataError
from components.ingest import IngestOptions, ingest
from components.ingest.table import read_table
from components.labels import CLASSES, SPLITS, TRAINING

SKIP = IngestOptions(skip_bad=True)
PIXELS = 48 * 48


@pytest.fixture(scope="module")
def plain(drawn, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The faces as a version, ingested from a table in their own order."""
    folder = tmp_path_factory.mktemp("plain")
    return open_dataset(ingest(drawn.csv(folder / "faces.csv"), folder, IngestOptions()).folder)


def read(path: Path):
    return read_table(path, 48, path.parent, lambda *step: None)


def text(*first: object, pixels: int = PIXELS) -> str:
    """So many pixels, the first as given, the others 7."""
    return " ".join(map(str, [*first, *[7] * (pixels - len(first))]))


@pytest.mark.parametrize(
    ("header", "order"),
    [
        (("emotion", "pixels", "Usage"), (0, 1, 2)),
        (("emotion", " Usage", " pixels"), (0, 2, 1)),
        (("Emotion", "PIXELS", "usage "), (0, 1, 2)),
        (("Usage", "pixels", "emotion"), (2, 1, 0)),
    ],
    ids=["fer2013.csv", "icml_face_data.csv", "other case", "other order"],
)
def test_column_names_are_known_in_any_case_spacing_and_order(header, order, drawn, known, write, tmp_path) -> None:
    rows = [[row[column] for column in order] for row in drawn.rows()]
    ingested = ingest(write(tmp_path / "faces.csv", rows, header), tmp_path, IngestOptions())
    assert ingested.info.fingerprint == known
    assert (ingested.info.origin.kind, ingested.info.origin.name) == ("csv", "faces.csv")


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: raw.replace(b"\n", b"\n\n"),
        lambda raw: re.sub(rb"(?m)^(\d),([^,\n]+),", rb'"\1", "\2",', raw).replace(b', "', b',"'),
        lambda raw: raw.rstrip(b"\n"),
    ],
    ids=["byte order mark", "CRLF", "blank lines", "quoted", "no last newline"],
)
def test_the_same_table_written_by_another_program_is_the_same_dataset(change, drawn, known, tmp_path) -> None:
    path = drawn.csv(tmp_path / "faces.csv")
    path.write_bytes(change(path.read_bytes()))
    assert ingest(path, tmp_path, IngestOptions()).info.fingerprint == known


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_shuffled_rows_give_the_same_fingerprint_images_and_groups(seed, drawn, known, plain, tmp_path) -> None:
    order = np.random.default_rng(seed).permutation(len(drawn.labels))
    ingested = ingest(drawn.take(order).csv(tmp_path / "faces.csv"), tmp_path, IngestOptions())
    assert ingested.info.fingerprint == known
    shuffled = open_dataset(ingested.folder, verify=True)
    assert (shuffled.images == plain.images).all()
    assert_frame_equal(shuffled.manifest.drop(columns="source"), plain.manifest.drop(columns="source"))


@pytest.mark.parametrize(("held_out", "share"), [(None, 0.2), (0.4, 0.4)])
def test_the_challenges_training_file_is_divided_by_the_share_one_names(
    held_out, share, drawn, write, tmp_path
) -> None:
    path = write(tmp_path / "train.csv", [row[:2] for row in drawn.rows()], ("emotion", "pixels"))
    info = ingest(path, tmp_path, IngestOptions(held_out=held_out)).info
    sizes = {split: sum(counts.values()) for split, counts in info.counts.items()}
    assert sizes["PublicTest"] + sizes["PrivateTest"] == pytest.approx(140 * share, abs=7)
    assert abs(sizes["PublicTest"] - sizes["PrivateTest"]) <= 7
    assert info.origin.options.get("held_out") == held_out


def test_the_challenges_test_file_has_no_labels_and_is_refused(drawn, write, tmp_path) -> None:
    path = write(tmp_path / "test.csv", [row[1:2] for row in drawn.rows()], ("pixels",))
    with pytest.raises(DataError, match=r"test\.csv has no column 'emotion' \(columns: pixels\): .* unlabelled"):
        ingest(path, tmp_path, IngestOptions())


def test_of_the_challenges_folder_the_table_that_says_most_is_read(drawn, known, write, tmp_path) -> None:
    folder = tmp_path / "challenge"
    write(folder / "test.csv", [row[1:2] for row in drawn.rows()], ("pixels",))
    write(folder / "train.csv", [row[:2] for row in drawn.rows()], ("emotion", "pixels"))
    write(folder / "example_submission.csv", [["0", "1"]], ("id", "emotion"))
    without = ingest(folder, tmp_path, IngestOptions()).info
    write(folder / "icml_face_data.csv", [[a, c, b] for a, b, c in drawn.rows()], ("emotion", " Usage", " pixels"))
    assert ingest(folder, tmp_path, IngestOptions()).info.fingerprint == known != without.fingerprint
    assert without.images == 140


BAD_ROWS = [
    (["", text(), TRAINING], "emotion '' is none of 0 to 6"),
    (["", "", TRAINING], "emotion '' is none of 0 to 6"),
    (["7", text(), TRAINING], "emotion '7' is none of 0 to 6"),
    (["-1", text(), TRAINING], "emotion '-1' is none of 0 to 6"),
    (["happy", text(), TRAINING], "emotion 'happy' is none of 0 to 6"),
    (["3", text(), "Test2"], "Usage 'Test2' is none of Training, PublicTest, PrivateTest"),
    (["3", text(), ""], "Usage '' is none of Training, PublicTest, PrivateTest"),
    (["3", text(pixels=2303), TRAINING], "2303 pixels, expected 2304"),
    (["3", text(pixels=2305), TRAINING], "2305 pixels, expected 2304"),
    (["3", "", TRAINING], "0 pixels, expected 2304"),
    (["3", text(300), TRAINING], "pixel value 300 is outside 0 to 255"),
    (["3", text(-1), TRAINING], "pixel value -1 is outside 0 to 255"),
    (["3", text(2**64 + 7), TRAINING], "is outside 0 to 255"),
    (["3", text("7.5"), TRAINING], "pixels hold something that is no whole number"),
    (["3", text("x"), TRAINING], "pixels hold something that is no whole number"),
    (["3", text()], "2 columns, expected 3"),
    (["3", text(), TRAINING, "more"], "4 columns, expected 3"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS, ids=[reason for _, reason in BAD_ROWS])
def test_a_bad_row_is_named_by_file_and_row_or_left_out_and_recorded(row, reason, few, write, tmp_path) -> None:
    rows = few.rows()
    path = write(tmp_path / "faces.csv", [*rows[:4], row, *rows[4:]])
    with pytest.raises(DataError, match=rf"1 bad\.\n  faces\.csv row 6: .*{re.escape(reason)}\nMend .*--skip-bad"):
        ingest(path, tmp_path, IngestOptions())
    ingested = ingest(path, tmp_path, SKIP)
    assert ingested.info.images == len(rows)
    (skipped,) = read_info(ingested.folder).origin.skipped
    assert re.fullmatch(rf"faces\.csv row 6: .*{re.escape(reason)}", skipped)
    assert not open_dataset(ingested.folder, verify=True).manifest["source"].str.endswith(":6").any()


def test_a_file_cut_off_within_its_last_row_names_that_row(few, tmp_path) -> None:
    path = few.csv(tmp_path / "faces.csv")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match="row 10: 2 columns, expected 3"):
        ingest(path, tmp_path, IngestOptions())


def test_the_first_five_bad_rows_are_named_and_the_rest_counted(few, write, tmp_path) -> None:
    path = write(tmp_path / "faces.csv", few.rows() + [["9", text(), TRAINING]] * 12)
    with pytest.raises(DataError) as caught:
        ingest(path, tmp_path, IngestOptions())
    message = str(caught.value)
    assert "12 bad." in message
    assert re.findall(r"row (\d+):", message) == ["11", "12", "13", "14", "15"]
    assert "... and 7 more" in message
    assert len(ingest(path, tmp_path, SKIP).info.origin.skipped) == 12


@pytest.mark.parametrize("bad", [text(pixels=20), text(pixels=2303), text(pixels=2305)], ids=["20", "2303", "2305"])
def test_one_short_row_beside_one_good_row_does_not_set_the_size(bad, write, tmp_path) -> None:
    faces = read(write(tmp_path / "two.csv", [["0", bad, TRAINING], ["1", text(), TRAINING]]))
    assert (faces.images.shape, faces.sources) == ((1, 48, 48), ["two.csv:3"])
    assert len(faces.bad) == 1


def test_rows_are_numbered_through_all_blocks_blank_lines_and_broken_rows(tmp_path) -> None:
    good, lines = f"2,{text()},Training\n", 1500  # 7 MB, two blocks
    broken = {5: "2,7\n", 9: "\n", 700: f"8,{text()},Training\n", 1400: f"2,{text(256)},Training\n"}
    path = tmp_path / "long.csv"
    path.write_text("emotion,pixels,Usage\n" + "".join(broken.get(row, good) for row in range(2, lines + 2)))
    faces = read(path)
    assert [re.findall(r"row (\d+)", line) for line in faces.bad] == [["5"], ["700"], ["1400"]]
    assert faces.sources == [f"long.csv:{row}" for row in range(2, lines + 2) if row not in broken]
    assert (faces.images == 7).all()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12), min_size=3, max_size=3))
@example(cells=["0", text(), TRAINING])
@example(cells=["\\", '"', ","])
def test_whatever_stands_in_one_row_the_others_are_read(cells, few, write, tmp_path) -> None:
    rows = few.rows()
    faces = read(write(tmp_path / "faces.csv", [*rows[:3], cells, *rows[3:]]))
    others = [i for i, source in enumerate(faces.sources) if source != "faces.csv:5"]
    assert (faces.images[others] == few.images).all()
    assert faces.labels[others].tolist() == few.labels.tolist()
    assert len(faces.bad) + len(faces.images) in (len(rows), len(rows) + 1)  # an empty row is none
    assert all(line.startswith("faces.csv row 5: ") for line in faces.bad)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "has no column 'emotion'"),
        (b"emotion,pixels\n", "has a header but no rows"),
        (b"emotion,pixels", "cannot be read as CSV"),
        (b"emotion,Usage\n0,Training\n", r"has no column 'pixels' \(columns: emotion, usage\)"),
        (b"emotion;pixels\n0;7\n", r"\(columns: emotion;pixels\)"),
        (b"\xff\xfe\x00\x00" * 99, "has no column 'emotion'"),
        (f"emotion,pixels\n0,{text(pixels=100)}\n".encode(), "100 pixels, which is no square image of at least 16 x"),
        (f"emotion,pixels\n0,{text(pixels=2303)}\n".encode(), "2303 pixels, which is no square image"),
    ],
    ids=["empty", "header alone", "header unended", "no pixels", "semicolons", "bytes", "10 x 10", "no square"],
)
def test_a_file_that_is_no_table_of_faces_is_told(raw, told, tmp_path) -> None:
    path = tmp_path / "faces.csv"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=told):
        ingest(path, tmp_path, IngestOptions())


def test_a_table_without_one_good_row_is_no_dataset_even_when_bad_rows_are_skipped(write, tmp_path) -> None:
    path = write(tmp_path / "faces.csv", [["9", text(), TRAINING]] * 3)
    with pytest.raises(DataError, match="holds no labelled image"):
        ingest(path, tmp_path, SKIP)


def test_rows_longer_than_a_block_are_read(write, tmp_path) -> None:
    side = 600  # 1.4 MB of text a row
    rows = [[k, " ".join(map(str, [100 + k] * side**2)), "Training"] for k in range(3)]
    faces = read(write(tmp_path / "faces.csv", rows, ("emotion", "pixels", "Usage")))
    assert faces.images.shape == (3, 48, 48)
    assert faces.labels.tolist() == [0, 1, 2]


def test_a_missing_split_is_named(drawn, tmp_path) -> None:
    path = drawn.take(np.flatnonzero(drawn.splits != "PublicTest")).csv(tmp_path / "faces.csv")
    with pytest.raises(DataError, match="no image in split PublicTest; it needs Training, PublicTest, PrivateTest"):
        ingest(path, tmp_path, IngestOptions())


def test_other_sizes_are_brought_to_the_one_asked_for(drawn, tmp_path) -> None:
    large = type(drawn)(drawn.images.repeat(2, 1).repeat(2, 2), drawn.labels, drawn.splits)
    path = large.csv(tmp_path / "faces.csv")
    as_read = open_dataset(ingest(path, tmp_path, IngestOptions(size=96)).folder)
    smaller = open_dataset(ingest(path, tmp_path, IngestOptions()).folder)
    assert (as_read.images.shape, smaller.images.shape) == ((140, 96, 96), (140, 48, 48))
    assert sorted(image.tobytes() for image in as_read.images[:, ::2, ::2]) == sorted(
        image.tobytes() for image in drawn.images
    )
    assert abs(smaller.images.mean() - drawn.images.mean()) < 1


def test_counts_name_every_class_of_every_split(drawn, tmp_path) -> None:
    info = ingest(drawn.csv(tmp_path / "faces.csv"), tmp_path, IngestOptions()).info
    assert list(info.counts) == list(SPLITS)
    for split in SPLITS:
        expected = np.bincount(drawn.labels[drawn.splits == split], minlength=7)
        assert info.counts[split] == dict(zip(CLASSES, expected.tolist(), strict=True))
