"""FER-2013 as a CSV: `emotion`, `pixels`, and a `Usage` that may be missing; column names in any case and spacing.

Pixels are parsed in bulk, a chunk of rows at a time; only a chunk that does not add up is looked at row by row.
"""

from collections.abc import Sequence
from math import isqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from PIL import Image

from components.errors import DataError
from components.ingest.records import UNSPLIT, Faces, Report
from components.labels import CLASSES, SPLITS

CHUNK = 2048  # rows parsed at once: 20 MB of text


def read_table(path: Path, size: int, report: Report) -> Faces:
    """Every readable row of a CSV. Raises DataError where a column is missing or nothing is labelled."""
    table, bad = _load(path)
    columns = _columns(path, table)
    labels, wrong_label = _labels(columns["emotion"])
    splits, wrong_split = _splits(columns.get("usage"), len(labels))
    side = _side(path, columns["pixels"])
    images, wrong_pixels = _pixels(columns["pixels"], side, report)
    reasons = {**wrong_pixels, **wrong_split, **wrong_label}
    bad += [f"{path.name} row {row + 2}: {reason}" for row, reason in sorted(reasons.items())]
    good = np.setdiff1d(np.arange(len(labels)), list(reasons))
    sources = [f"{path.name}:{row + 2}" for row in good.tolist()]
    return Faces(_resize(images[good], size), labels[good], splits[good], sources, bad)


def _load(path: Path) -> tuple[pa.Table, list[str]]:
    """All columns as text, and the rows that have another number of columns."""
    broken: list[str] = []

    def note(row: pa.csv.InvalidRow) -> str:
        where = f"row {row.number}" if row.number else "a row"
        broken.append(f"{path.name} {where}: {row.actual_columns} columns, expected {row.expected_columns}")
        return "skip"

    def read(threads: bool) -> pa.Table:
        with path.open("rb") as stream:
            header = stream.readline().decode("utf-8-sig").rstrip("\r\n").split(",")
        return pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(use_threads=threads, block_size=8 << 20),
            parse_options=pa.csv.ParseOptions(invalid_row_handler=note),
            convert_options=pa.csv.ConvertOptions(
                column_types={name.strip('"'): pa.large_string() for name in header}, strings_can_be_null=False
            ),
        )

    try:
        table = read(threads=True)
        if broken:  # row numbers are known to a single thread alone
            broken.clear()
            table = read(threads=False)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}.") from error
    return table, broken


def _columns(path: Path, table: pa.Table) -> dict[str, pa.ChunkedArray]:
    found = {name.strip().casefold(): table[name] for name in table.column_names}
    for needed in ("emotion", "pixels"):
        if needed not in found:
            raise DataError(
                f"{path} has no column {needed!r} (columns: {', '.join(table.column_names)}): its images are "
                f"{'unlabelled' if needed == 'emotion' else 'missing'}. Name a file with columns emotion and pixels."
            )
    if not table.num_rows:
        raise DataError(f"{path} has a header but no rows.")
    return found


def _labels(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
    text = pc.utf8_trim_whitespace(column)
    index = pc.index_in(text, value_set=pa.array([str(i) for i in range(len(CLASSES))], pa.large_string()))
    labels = index.fill_null(-1).to_numpy().astype(np.int64)
    allowed = f"0 to {len(CLASSES) - 1}"
    return labels, {
        int(row): f"emotion {column[int(row)].as_py()!r} is none of {allowed}" for row in np.flatnonzero(labels < 0)
    }


def _splits(column: pa.ChunkedArray | None, rows: int) -> tuple[npt.NDArray[np.str_], dict[int, str]]:
    if column is None:
        return np.full(rows, UNSPLIT), {}
    known = {name.casefold(): name for name in SPLITS}
    text = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    index = (
        pc.index_in(text, value_set=pa.array(list(known), pa.large_string())).fill_null(-1).to_numpy().astype(np.int64)
    )
    names = np.array([*known.values(), ""])[index]
    wrong = np.flatnonzero(index < 0)
    return names, {int(row): f"Usage {column[int(row)].as_py()!r} is none of {', '.join(SPLITS)}" for row in wrong}


def _side(path: Path, column: pa.ChunkedArray) -> int:
    """Side of the square images, from the commonest number of pixels among the first rows."""
    counts = np.asarray(pc.count_substring(column.slice(0, 101), " ").to_numpy()) + 1
    pixels = int(np.bincount(counts).argmax())
    if isqrt(pixels) ** 2 != pixels or pixels < 256:
        raise DataError(f"{path}: rows have {pixels} pixels, which is no square image of at least 16 x 16.")
    return isqrt(pixels)


def _pixels(column: pa.ChunkedArray, side: int, report: Report) -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    rows, pixels = len(column), side * side
    images = np.zeros((rows, side, side), np.uint8)
    wrong: dict[int, str] = {}
    counts = np.asarray(pc.count_substring(column, " ").to_numpy()) + 1
    for start in range(0, rows, CHUNK):
        texts = column.slice(start, CHUNK).to_pylist()
        values = _parse(texts) if (counts[start : start + CHUNK] == pixels).all() else None
        if values is not None and len(values) == pixels * len(texts) and values.min() >= 0 and values.max() <= 255:
            images[start : start + CHUNK] = values.reshape(-1, side, side)
        else:
            wrong |= _row_by_row(texts, start, images)
        report("pixels", min(start + CHUNK, rows), rows)
    return images, wrong


def _parse(texts: Sequence[str]) -> npt.NDArray[np.int32] | None:
    try:
        return np.fromstring(" ".join(texts), np.int32, sep=" ")
    except ValueError:  # something that is no number
        return None


def _row_by_row(texts: Sequence[str], start: int, images: npt.NDArray[np.uint8]) -> dict[int, str]:
    side = images.shape[1]
    wrong = {}
    for offset, text in enumerate(texts):
        values = _parse([text])
        if values is None:
            wrong[start + offset] = "pixels hold something that is no whole number"
        elif len(values) != side * side:
            wrong[start + offset] = f"{len(values)} pixels, expected {side * side}"
        elif values.min() < 0 or values.max() > 255:
            outside = int(values[(values < 0) | (values > 255)][0])
            wrong[start + offset] = f"pixel value {outside} is outside 0 to 255"
        else:
            images[start + offset] = values.reshape(side, side)
    return wrong


def _resize(images: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    if images.shape[1] == size:
        return images
    faces = [Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR) for image in images]
    return np.stack([np.asarray(face) for face in faces]) if faces else np.zeros((0, size, size), np.uint8)
