"""Score many pictures without a server: a folder, an archive or a CSV in, one Parquet file out.

What is done is kept in parts beside the file until it is whole, so that a run that was stopped goes on where it was.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import isqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.errors import BadPicture, DataError, FerlineError
from components.ingest.archives import is_archive, unpack
from components.ingest.table import read_columns
from components.predictions import SCHEMA, prediction_table
from serving.batcher import Answer
from serving.faces import Face, cut_faces
from serving.model import ServedModel
from serving.pictures import read_picture
from serving.record import Answered, new_id, rows
from serving.requests import Options

PART = 512
"""Pictures in a part: what is done again after a kill, at most."""
BATCH = 64
Gray = npt.NDArray[np.uint8]
Report = Callable[[str, int, int], None]
Picture = Callable[[], Gray]


@dataclass(frozen=True)
class Scored:
    """What became of the pictures."""

    out: str
    pictures: int
    answered: int
    errors: int
    resumed: int
    """Pictures that an earlier run had done."""
    version: str


def score(source: Path, out: Path, model: ServedModel, options: Options, explain: bool, report: Report) -> Scored:
    """Answer every picture of a source; one row each in `out`, in the source's order.

    Columns: `source`; `error`, null where the picture was answered; those of components.predictions.SCHEMA; with
    `explain` also `rollout`, float32 [H * W], 0 to 1. Raises DataError, also for a model without attention.
    """
    if out.exists():
        raise DataError(f"{out} is there already; name another file, or remove it.")
    require_possible(model, options, explain)
    parts = out.with_name(f".{out.name}.parts")
    _begin(parts, _stamp(source), model, options, explain)
    try:
        with_pictures = _open(source, parts / "unpacked")
    except FerlineError:
        shutil.rmtree(parts)  # nothing to go on with
        raise
    names = [name for name, _ in with_pictures]
    done = resumed = min(len(names), PART * len(list(parts.glob("*.parquet"))))
    pictures = iter(with_pictures[done:])
    with ThreadPoolExecutor() as pool:
        while part := list(islice(pictures, PART)):
            table = answer_part(part, model, options, explain, pool)
            _write(table, parts / f"{done // PART:06d}.parquet")
            done += len(part)
            report("score", done, len(names))
    errors = _join(parts, out)
    return Scored(str(out), len(names), len(names) - errors, errors, resumed, model.version.version)


def require_possible(model: ServedModel, options: Options, explain: bool) -> None:
    """Raises DataError for what one row a picture, or this model, cannot give."""
    if options.face == "all":
        raise DataError("face=all has no place here: every picture has one row.")
    if explain and not model.has_rollout:
        raise DataError(f"version {model.version.version} has no attention: leave --explain out.")


def _open(source: Path, unpacked: Path) -> list[tuple[str, Picture]]:
    """Name and reader of every picture, in the order of their names or rows."""
    if is_archive(source):
        if not unpacked.exists():
            scratch = unpacked.with_name("unpacked.new")
            shutil.rmtree(scratch, ignore_errors=True)
            unpack(source, scratch)
            scratch.rename(unpacked)
        source = unpacked
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.is_file() and not path.name.startswith("."))
        found: list[tuple[str, Picture]] = [
            (path.relative_to(source).as_posix(), partial(_read, path)) for path in files
        ]
    else:
        found = list(_rows(source))
    if not found:
        raise DataError(f"{source} holds no picture.")
    return found


def _read(path: Path) -> Gray:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadPicture(f"the file cannot be read: {error.strerror}.") from error
    return read_picture(data)


def _rows(table: Path) -> Iterator[tuple[str, Picture]]:
    columns = read_columns(table)
    if "pixels" not in columns:
        raise DataError(
            f"{table} is no archive and has no column `pixels` (columns: {', '.join(columns) or 'none'}); name a "
            "folder of pictures, an archive of one, or a CSV as FER-2013's."
        )
    first = 2  # as an editor counts: the header is row 1
    for chunk in pd.read_csv(table, usecols=[columns["pixels"]], chunksize=4096, dtype=str):
        for k, text in enumerate(chunk.iloc[:, 0].fillna("")):
            yield f"row {first + k}", partial(_pixels, text)
        first += len(chunk)


def _pixels(text: str) -> Gray:
    """A row's numbers as a square picture."""
    try:
        values = np.array(text.split(), np.int64)
    except (ValueError, OverflowError) as error:
        raise BadPicture(f"pixels are not all numbers: {error}.") from error
    side = isqrt(len(values))
    if side * side != len(values) or side < 16 or values.min() < 0 or values.max() > 255:
        raise BadPicture(f"{len(values)} pixels are no square picture of values 0 to 255.")
    return values.astype(np.uint8).reshape(side, side)


def _stamp(source: Path) -> str:
    """What tells whether a source is the one that was begun with: its place, and its files' names, sizes and times."""
    if not source.exists():
        raise DataError(
            f"{source} is not there; name a folder of pictures, an archive of one, or a CSV, or with --parts "
            "s3://bucket/prefix."
        )
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    lines = [f"{path.absolute()} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    return hashlib.sha256("\n".join([str(source.absolute()), *lines]).encode()).hexdigest()


def _begin(parts: Path, digest: str, model: ServedModel, options: Options, explain: bool) -> None:
    """Make the parts' folder, or see that it was begun with the same pictures, model and options."""
    facts = {"pictures": digest, "model": model.version.model_sha256, "explain": explain, **options.model_dump()}
    record = parts / "run.json"
    if record.exists() and json.loads(record.read_text()) != facts:
        raise DataError(
            f"{parts} was begun with other pictures, another model or other options; remove it, or name another --out."
        )
    parts.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(facts))


def answer_part(
    part: list[tuple[str, Picture]], model: ServedModel, options: Options, explain: bool, pool: ThreadPoolExecutor
) -> pa.Table:
    """One row a picture, in order: columns as `score` has them. pool: reads and decodes."""
    started = time.perf_counter()
    read = list(pool.map(lambda item: _face(item[1], model, options), part))
    good = [k for k, face in enumerate(read) if isinstance(face, Face)]
    faces = [face for face in read if isinstance(face, Face)]
    answered: list[Answered] = []
    for start in range(0, len(faces), BATCH):
        batch = faces[start : start + BATCH]
        outputs = model.answer(np.stack([face.crop for face in batch]))
        answered += [
            Answered(new_id(), face, Answer.row(outputs, k), model) for k, face in enumerate(batch)
        ]  # fmt: skip
    latency_ms = 1000 * (time.perf_counter() - started) / len(part)
    told = prediction_table(rows(answered, "offline", options.tag, latency_ms, False) if answered else [])
    place = pa.array(pd.Series(range(len(good)), index=good).reindex(range(len(part))).astype("Int64"))
    table = pa.table({
        "source": [name for name, _ in part],
        "error": pa.array([None if isinstance(face, Face) else str(face) for face in read], pa.string()),
        **{name: told[name].combine_chunks().take(place) for name in SCHEMA.names},
    })  # fmt: skip
    if explain:
        heat = [None if item.answer.rollout is None else item.answer.rollout.ravel() for item in answered]
        table = table.append_column("rollout", pa.array(heat, pa.list_(pa.float32())).take(place))
    return table


def _face(picture: Picture, model: ServedModel, options: Options) -> Face | BadPicture:
    try:
        (face,) = cut_faces(picture(), options.face, model.size, options.margin)
    except BadPicture as error:
        return error
    return Face(face.box, face.crop, face.crop)  # hundreds of whole photographs would fill the memory


def _write(table: pa.Table, file: Path) -> None:
    scratch = file.with_suffix(".new")
    pq.write_table(table, scratch, compression="zstd")
    scratch.replace(file)


def _join(parts: Path, out: Path) -> int:
    """All parts as one file; how many pictures could not be answered."""
    files = sorted(parts.glob("*.parquet"))
    scratch, errors = parts / "whole.new", 0
    with pq.ParquetWriter(scratch, pq.read_schema(files[0]), compression="zstd") as writer:
        for file in files:
            table = pq.read_table(file)
            errors += table.num_rows - table["error"].null_count
            writer.write_table(table)
    scratch.replace(out)
    shutil.rmtree(parts)
    return errors
