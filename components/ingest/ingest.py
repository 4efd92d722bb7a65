"""Source in, dataset version out: look, read, give splits, find duplicates, write."""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.dataset import DatasetInfo, Origin, write_dataset
from components.errors import DataError
from components.ingest.archives import is_archive, unpack
from components.ingest.records import Faces, Ingested, IngestOptions, Report, refuse_bad
from components.labels import SPLITS
from components.store import Store

SYNTHETIC = "synthetic"
TABLES = ("fer2013.csv", "icml_face_data.csv", "train.csv")
"""Tables that a folder or archive may hold, best first: the first two have a Usage column."""


@dataclass(frozen=True)
class Source:
    """What a name turned out to be."""

    kind: str
    """csv, folder or synthetic."""
    path: Path


def ingest(source: str | Path, work: Path, options: IngestOptions, report: Report | None = None) -> Ingested:
    """Make a dataset version below `work`, in a folder of its own.

    source: `synthetic[:key=value,...]`, a CSV, an image folder, a folder with a CSV, or an archive of any of these.
    Raises DataError that names the first few bad rows or files and counts the rest.
    """
    say = report or _silent
    name = str(source)
    scratch = work / f"ingest-{uuid.uuid4().hex}"
    scratch.mkdir(parents=True)
    try:
        kind, faces = _read(name, scratch, options, say)
        refuse_bad(faces.bad, name, options.skip_bad)
        if not len(faces.images):
            raise DataError(f"{name} holds no labelled image.")
        folder, info = _write(faces, _origin(kind, name, faces, options), work, options, say)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Ingested(folder, info)


def ingest_to_store(
    source: str | Path, store: Store, work: Path, options: IngestOptions, report: Report | None = None
) -> tuple[str, DatasetInfo]:
    """The same, put into a store; returns its URI. A version that is there already is kept as it is."""
    ingested = ingest(source, work, options, report)
    try:
        uri = store.put_folder(ingested.folder, f"datasets/{ingested.info.name}")
    finally:
        shutil.rmtree(ingested.folder)
    return uri, ingested.info


def _silent(stage: str, done: int, total: int) -> None:
    pass


def _read(name: str, scratch: Path, options: IngestOptions, report: Report) -> tuple[str, Faces]:
    if name.split(":")[0] == SYNTHETIC and not Path(name).exists():
        from components.ingest.synthetic import generate, parse_options

        images, labels, splits = generate(parse_options(name), report)
        return SYNTHETIC, Faces(images, labels, splits, [f"drawn {i}" for i in range(len(images))])
    path = Path(name).expanduser()
    if not path.exists():
        raise DataError(f"no source {name}: name a CSV, an image folder, an archive of either, or synthetic.")
    archived = is_archive(path)
    if archived:
        unpack(path, scratch / "unpacked")
        path = scratch / "unpacked"
    found = look(path)
    if found.kind == "csv":
        from components.ingest.table import read_table

        faces = read_table(found.path, options.size, report)
    else:
        from components.ingest.images import read_images

        faces = read_images(found.path, options.size, report)
    return ("archive" if archived else found.kind), faces


def look(path: Path) -> Source:
    """Tell a table from an image folder; archives inside a folder are not opened. Raises DataError for neither."""
    if path.is_file():
        if path.suffix.casefold() != ".csv":
            raise DataError(f"{path} is no CSV, archive or folder.")
        return Source("csv", path)
    tables = {file.name.casefold(): file for file in path.rglob("*.csv") if not file.name.startswith(".")}
    for name in TABLES:
        if name in tables:
            return Source("csv", tables[name])
    if not any(file.is_file() for file in path.rglob("*")):
        raise DataError(f"{path} is empty: it holds neither a CSV nor <split>/<class>/* images.")
    return Source("folder", path)


def _origin(kind: str, name: str, faces: Faces, options: IngestOptions) -> Origin:
    chosen: dict[str, str | int | float | bool] = {"size": options.size}
    if options.held_out is not None:
        chosen["held_out"] = options.held_out
    return Origin(kind, name if kind == SYNTHETIC else Path(name).name, chosen, faces.bad)


def _write(
    faces: Faces, origin: Origin, work: Path, options: IngestOptions, report: Report
) -> tuple[Path, DatasetInfo]:
    from components.ingest.duplicates import pixel_hashes
    from components.ingest.splits import assign_splits

    sha256 = pixel_hashes(faces.images)
    faces = assign_splits(faces, sha256, options.held_out, origin.name)
    order = canonical_order(faces, sha256)
    images = faces.images[order]
    manifest = _manifest(faces, sha256, order, images, report)
    folder = work / f"dataset-{uuid.uuid4().hex}"
    return folder, write_dataset(folder, images, manifest, origin)


def canonical_order(faces: Faces, sha256: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    """By split, label, pixels and, for identical images, source."""
    rank = np.array([SPLITS.index(split) for split in faces.splits])
    return np.lexsort((np.array(faces.sources), sha256, faces.labels, rank))


def _manifest(
    faces: Faces,
    sha256: npt.NDArray[np.str_],
    order: npt.NDArray[np.int64],
    images: npt.NDArray[np.uint8],
    report: Report,
) -> pd.DataFrame:
    from components.ingest.duplicates import duplicate_groups, perceptual_hashes
    from components.ingest.statistics import image_statistics

    phash = perceptual_hashes(images, report)
    sha = sha256[order]
    exact, near = duplicate_groups(images, sha, phash, report)
    brightness, contrast, sharpness = image_statistics(images)
    return pd.DataFrame(
        {
            "id": _ids(sha),
            "label": faces.labels[order],
            "split": faces.splits[order],
            "sha256": sha,
            "phash": phash,
            "exact_group": exact,
            "near_group": near,
            "source": np.array(faces.sources, dtype=object)[order],
            "brightness": brightness,
            "contrast": contrast,
            "sharpness": sharpness,
        }
    )


def _ids(sha: npt.NDArray[np.str_]) -> "pd.Series[str]":
    """First 16 digits of the hash, `-k` for the k-th further copy."""
    series = pd.Series(sha)
    copy = series.groupby(series).cumcount()
    return series.str[:16] + np.where(copy > 0, "-" + copy.astype(str), "")
