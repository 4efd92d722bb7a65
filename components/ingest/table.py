"""FER-2013 as a CSV: `emotion`, `pixels`, and a `Usage` that may be missing; column names in any case and spacing.

The file is read as a stream of blocks, and a block's pixels are parsed at once: its text is never in memory as a whole,
and its pixels go to another file. Only a block that does not add up is looked at row by row. Rows are counted as an
editor counts lines: the header is row 1.
"""

import csv
import tempfile
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from components.errors import DataError
from components.ingest.names import SPLIT_NAMES, UNSPLIT
from components.ingest.records import Faces, Report
from components.ingest.resize import resize_faces
from components.labels import CLASSES, SPLITS

BLOCK = 1 << 20  # bytes of text parsed at once, or four rows; larger ones leave the processor's cache
LEAST_PIXELS = 256
LABELS = {str(i): i for i in range(len(CLASSES))}
AHEAD = 4  # blocks that are parsed while the next ones are read; more would hold the file's text in memory
EDGE = b"\n\n\n"  # stands before the first value, so that places to the left of it can be looked at


@dataclass(frozen=True)
class Block:
    """Some rows one after another, but for their pixels."""

    labels: list[int]
    splits: list[str]
    wrong: dict[int, str]
    """Row in the block -> what is wrong with it, nothing for a blank line."""


def read_table(path: Path, size: int, scratch: Path, report: Report) -> Faces:
    """Every readable row of a CSV; pixels are held in a file in `scratch`.

    Raises DataError where a column is missing or the file is no CSV.
    """
    columns = read_columns(path)
    for needed, state in (("emotion", "unlabelled"), ("pixels", "missing")):
        if needed not in columns:
            raise DataError(
                f"{path} has no column {needed!r} (columns: {', '.join(columns) or 'none'}): its images are {state}. "
                f"Name a file with columns emotion and pixels."
            )
    broken: list[pa.csv.InvalidRow] = []
    with tempfile.TemporaryFile(dir=scratch) as pixels:
        blocks = []
        for images, block in _blocks(path, columns, broken, size, report):
            pixels.write(images.data)
            blocks.append(block)
        if not blocks and not broken:
            raise DataError(f"{path} has a header but no rows.")
        return _join(path, blocks, broken, _mapped(pixels, size))


def read_columns(path: Path) -> dict[str, str]:
    """Plain column name -> the name as it stands in the file; nothing where the first line is no text."""
    with path.open("rb") as stream:
        line = stream.readline(1 << 16)
    try:
        names = next(csv.reader([line.decode("utf-8-sig")]), [])
    except (UnicodeDecodeError, csv.Error):
        return {}
    return {name.strip().casefold(): name for name in names}


def _mapped(pixels: IO[bytes], size: int) -> npt.NDArray[np.uint8]:
    """uint8 [N, size, size]: what was written."""
    pixels.flush()
    count = pixels.tell() // size**2
    return (
        np.asarray(np.memmap(pixels, np.uint8, "r", shape=(count, size, size)))
        if count
        else np.zeros((0, size, size), np.uint8)
    )


def _join(
    path: Path, blocks: Sequence[Block], broken: Sequence[pa.csv.InvalidRow], images: npt.NDArray[np.uint8]
) -> Faces:
    """images: of the good rows."""
    rows = sum(len(block.labels) for block in blocks)
    numbers, reasons = _number(path, rows, broken)
    wrong, first = [], 0
    for block in blocks:
        wrong += [first + row for row in block.wrong]
        reasons |= {int(numbers[first + row]): reason for row, reason in block.wrong.items() if reason}
        first += len(block.labels)
    good = np.setdiff1d(np.arange(rows), wrong)
    return Faces(
        images,
        np.array([label for block in blocks for label in block.labels], np.int64)[good],
        np.array([split for block in blocks for split in block.splits], np.str_)[good],
        [f"{path.name}:{number}" for number in numbers[good].tolist()],
        [f"{path.name} row {number}: {reason}" for number, reason in sorted(reasons.items())],
    )


def _blocks(
    path: Path, columns: dict[str, str], broken: list[pa.csv.InvalidRow], size: int, report: Report
) -> Iterator[tuple[npt.NDArray[np.uint8], Block]]:
    """Blocks in the file's order, with their good images; rows with another number of columns go to `broken`."""
    total, done, side = path.stat().st_size, 0, 0
    begun: deque[Future[tuple[npt.NDArray[np.uint8], Block]]] = deque()
    report("megabytes of text", 0, total >> 20)
    try:
        with pa.csv.open_csv(path, **_how(path, columns, broken)) as reader, ThreadPoolExecutor() as pool:
            for batch in reader:
                if batch.num_rows:
                    texts = {plain: batch.column(name).to_pylist() for plain, name in columns.items()}
                    side = side or _side(path, texts["pixels"])
                    cells = texts["emotion"], texts.get("usage"), texts["pixels"]
                    begun.append(pool.submit(_block, *cells, side, size))
                    if len(begun) > AHEAD:
                        yield begun.popleft().result()
                    done = min(done + batch.nbytes, total)
                    report("megabytes of text", done >> 20, total >> 20)
            while begun:
                yield begun.popleft().result()
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} cannot be read as CSV: {error}.") from error
    report("megabytes of text", total >> 20, total >> 20)


def _how(path: Path, columns: dict[str, str], broken: list[pa.csv.InvalidRow]) -> dict[str, Any]:
    """Every column as bytes, blank lines kept (they count as rows), broken rows set aside."""

    def set_aside(row: pa.csv.InvalidRow) -> str:
        broken.append(row)
        return "skip"

    types = {name: pa.large_binary() for name in columns.values()}
    return {
        "read_options": pa.csv.ReadOptions(block_size=max(BLOCK, 4 * _row_bytes(path)), use_threads=False),
        "parse_options": pa.csv.ParseOptions(invalid_row_handler=set_aside, ignore_empty_lines=False),
        "convert_options": pa.csv.ConvertOptions(
            column_types=types, include_columns=list(types), strings_can_be_null=False
        ),
    }


def _row_bytes(path: Path) -> int:
    """Length of the first row: Arrow reads none that is longer than its block."""
    with path.open("rb") as stream:
        stream.readline()
        return len(stream.readline())


def _number(path: Path, rows: int, broken: Sequence[pa.csv.InvalidRow]) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
    """Numbers of the rows that were read, and the broken ones with what is wrong.

    Arrow numbers broken rows only where it reads the file as a whole: done again, for that, where there are any.
    """
    if not broken:
        return np.arange(2, rows + 2), {}
    numbered: list[pa.csv.InvalidRow] = []
    pa.csv.read_csv(path, **_how(path, read_columns(path), numbered))
    wrong = {row.number: f"{row.actual_columns} columns, expected {row.expected_columns}" for row in numbered}
    return np.setdiff1d(np.arange(2, rows + 2 + len(wrong)), list(wrong)), wrong


def _side(path: Path, texts: Sequence[bytes]) -> int:
    """Side of the square images, from the commonest number of pixels among the first rows that make a square."""
    numbers = Counter(len(text.split()) for text in texts[:101]).most_common()
    square = [pixels for pixels, _ in numbers if pixels >= LEAST_PIXELS and isqrt(pixels) ** 2 == pixels]
    if not square:
        raise DataError(f"{path}: rows have {numbers[0][0]} pixels, which is no square image of at least 16 x 16.")
    return isqrt(square[0])


def _block(
    emotions: Sequence[bytes], usages: Sequence[bytes] | None, texts: Sequence[bytes], side: int, size: int
) -> tuple[npt.NDArray[np.uint8], Block]:
    images, wrong = _pixels(texts, side)
    labels, splits = [], []
    for row, emotion in enumerate(emotions):
        label = LABELS.get(emotion.decode(errors="replace").strip(), -1)
        split = SPLIT_NAMES.get(usages[row].decode(errors="replace").strip().casefold(), "?") if usages else UNSPLIT
        if not (emotion or texts[row] or (usages and usages[row])):
            wrong[row] = ""  # a blank line
        elif label < 0:
            wrong[row] = f"emotion {_shown(emotion)} is none of 0 to {len(CLASSES) - 1}"
        elif usages and split == "?":
            wrong[row] = f"Usage {_shown(usages[row])} is none of {', '.join(SPLITS)}"
        labels.append(label)
        splits.append(split)
    good = images if not wrong else np.delete(images, list(wrong), axis=0)
    return resize_faces(good, size), Block(labels, splits, wrong)


def _pixels(texts: Sequence[bytes], side: int) -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    """Images of a block, black where a row holds none, and these rows."""
    pixels = side * side
    plain = _plain_pixels(texts, pixels)
    if plain is not None:
        return plain.reshape(-1, side, side), {}
    images, wrong = np.zeros((len(texts), side, side), np.uint8), {}
    for row, text in enumerate(texts):
        face = _parse(text)
        if face is None:
            wrong[row] = "pixels hold something that is no whole number"
        elif len(face) != pixels:
            wrong[row] = f"{len(face)} pixels, expected {pixels}"
        elif face.min() < 0 or face.max() > 255:
            wrong[row] = f"pixel value {face[(face < 0) | (face > 255)][0]} is outside 0 to 255"
        else:
            images[row] = face.reshape(side, side)
    return images, wrong


def _plain_pixels(texts: Sequence[bytes], pixels: int) -> npt.NDArray[np.uint8] | None:
    """Rows of `pixels` values 0 to 255 with one space between two of them, all at once; None for anything else.

    A value ends where a digit stands before a space or a row's end; its other digits are looked up to the left. That
    takes half the time of a number parser, and lets other threads run.
    """
    text = np.frombuffer(EDGE + b"\n".join(texts) + b"\n", np.uint8)
    digits = text - np.uint8(ord("0"))  # what is no digit wraps round to more than 9
    between = (text == ord(" ")) | (text == ord("\n"))
    ends = np.flatnonzero(between[1:] & ~between[:-1])
    if len(ends) != len(texts) * pixels or between.sum() != len(ends) + len(EDGE):
        return None  # another number of values, or two spaces on end
    if (
        not (between | (digits <= 9)).all()
        or not (text[ends + 1].reshape(len(texts), pixels)[:, -1] == ord("\n")).all()
    ):
        return None  # something that is no number, or a row that makes up for another
    tens, hundreds, thousands = (digits[ends - place] for place in (1, 2, 3))
    two = tens <= 9
    three = two & (hundreds <= 9)
    values = digits[ends] + two * (np.uint16(10) * tens) + three * (np.uint16(100) * hundreds)
    if (three & (thousands <= 9)).any() or values.max() > 255:
        return None
    return values.astype(np.uint8)


def _parse(text: bytes) -> npt.NDArray[np.int64] | None:
    """Whole numbers of a text, int64 so that no large one wraps into 0 to 255; None where something is no number."""
    try:
        return np.fromstring(text, np.int64, sep=" ")
    except ValueError:
        return None


def _shown(value: bytes) -> str:
    text = value.decode(errors="replace")
    return repr(text if len(text) <= 40 else text[:40] + "...")
