"""Open and write a local dataset version: an immutable folder named by its content.

    images.npy        uint8 [N, H, W], opened memory-mapped
    manifest.parquet  one row an image, in the order of images.npy (see MANIFEST_COLUMNS)
    dataset.json      DatasetInfo; written last, so a folder without it is no dataset version

The order of rows is canonical (split, label, sha256), so the same images give the same version
whatever order, container or file names they came in.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.errors import DataError, DatasetCorrupt
from components.labels import CLASSES, SPLITS

SCHEMA_VERSION = 1
IMAGES, MANIFEST, INFO = "images.npy", "manifest.parquet", "dataset.json"
BLOCK = 4 << 20  # bytes of pixels in memory at once where they are copied
LINES = 100_000  # rows of the manifest in memory as text

PRODUCTION = "prediction:"
"""Begins the `source` of an image that production brought; the prediction's id follows."""

MANIFEST_COLUMNS: dict[str, str] = {
    "id": "str",  # first 16 hex digits of sha256, then "-<k>" for the k-th further copy
    "label": "int8",  # index into CLASSES
    "split": "str",  # one of SPLITS
    "sha256": "str",  # of the raw pixels
    "phash": "uint64",  # perceptual hash, 64 bits
    "exact_group": "int32",  # images with identical pixels share it
    "near_group": "int32",  # connected near-duplicates share it; contains exact groups whole
    "source": "str",  # file or row it was first read from
    "brightness": "float32",  # mean of pixels, 0-255
    "contrast": "float32",  # standard deviation of pixels
    "sharpness": "float32",  # variance of the 4-neighbour Laplacian
}

Counts = dict[str, dict[str, int]]  # split -> class -> images


@dataclass(frozen=True)
class Origin:
    """Where a dataset version came from."""

    kind: str
    """One of csv, folder, archive, synthetic, feedback (another version grown by production), held back."""
    name: str
    """File or folder name as given, without its path."""
    options: dict[str, str | int | float | bool] = field(default_factory=dict)
    """Options that changed the outcome (held-out share, size, seed, shift)."""
    skipped: list[str] = field(default_factory=list)
    """What `--skip-bad` left out, one line each: place and reason."""


@dataclass(frozen=True)
class DatasetInfo:
    """dataset.json."""

    fingerprint: str
    """sha256 over shape, classes and the sorted (split, label, sha256) rows."""
    images: int
    height: int
    width: int
    counts: Counts
    origin: Origin
    files: dict[str, str]
    """File name -> sha256 of its bytes."""
    classes: tuple[str, ...] = CLASSES
    schema_version: int = SCHEMA_VERSION

    @property
    def name(self) -> str:
        """Folder name of this version."""
        return self.fingerprint[:16]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)  # counts stay in the order of CLASSES

    @classmethod
    def from_json(cls, text: str) -> "DatasetInfo":
        """Parse dataset.json; raises DatasetCorrupt on a version this code does not know."""
        raw: dict[str, Any] = json.loads(text)
        if raw.get("schema_version") != SCHEMA_VERSION:
            raise DatasetCorrupt(
                f"dataset.json has schema_version {raw.get('schema_version')!r}; "
                f"this ferline reads {SCHEMA_VERSION}. Ingest the source again."
            )
        raw["classes"] = tuple(raw["classes"])
        raw["origin"] = Origin(**raw["origin"])
        return cls(**raw)


@dataclass(frozen=True)
class Dataset:
    """An opened dataset version."""

    root: Path
    info: DatasetInfo
    images: npt.NDArray[np.uint8]
    """uint8 [N, H, W], 0-255, memory-mapped read-only."""
    manifest: pd.DataFrame
    """N rows in the order of `images`; columns MANIFEST_COLUMNS."""

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64 [N], indices into CLASSES."""
        return self.manifest["label"].to_numpy(dtype=np.int64)

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Row indices of one split, ascending; raises DataError for an unknown or empty one."""
        found = np.flatnonzero((self.manifest["split"] == split).to_numpy())
        if not len(found):
            raise DataError(f"dataset {self.info.name} has no split {split!r}; it has {', '.join(self.info.counts)}.")
        return found.astype(np.int64)


def fingerprint(manifest: pd.DataFrame, height: int, width: int) -> str:
    """Content name of a dataset: independent of row order, file names and container."""
    key = ["split", "label", "sha256"]
    ordered = manifest[key].sort_values(key)
    digest = hashlib.sha256(f"{SCHEMA_VERSION} {height}x{width} {' '.join(CLASSES)}\n".encode())
    for start in range(0, len(ordered), LINES):
        columns = (ordered[name].iloc[start : start + LINES].astype(str) for name in key)
        lines = "\n".join(" ".join(row) for row in zip(*columns, strict=True))
        digest.update((("\n" if start else "") + lines).encode())
    return digest.hexdigest()


def count(manifest: pd.DataFrame) -> Counts:
    """Images by split and class, every class named, splits in SPLITS order, absent splits left out."""
    table = pd.crosstab(manifest["split"], manifest["label"])
    return {
        split: {name: int(table.loc[split].to_dict().get(i, 0)) for i, name in enumerate(CLASSES)}
        for split in SPLITS
        if split in table.index
    }


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_dataset(folder: Path, images: npt.NDArray[np.uint8], manifest: pd.DataFrame, origin: Origin) -> DatasetInfo:
    """Write a version into `folder` (made here, must not exist); dataset.json comes last.

    images: uint8 [N, H, W]; manifest: N rows with MANIFEST_COLUMNS, already in canonical order.
    """
    write_images(folder, images, np.arange(len(images)))
    return write_manifest(folder, manifest, origin)


def write_images(folder: Path, images: npt.NDArray[np.uint8], order: npt.NDArray[np.int64]) -> None:
    """First half of a version: `folder` (made here, must not exist) with rows `order` of the images, block by block."""
    folder.mkdir(parents=True)
    shape = (len(order), *images.shape[1:])
    with (folder / IMAGES).open("wb") as stream:
        head = {"descr": np.lib.format.dtype_to_descr(images.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, head)
        for rows in row_blocks(len(order), images[:1].nbytes):
            stream.write(images[order[rows]].data)


def row_blocks(count: int, row_bytes: int) -> Iterator[slice]:
    """`count` rows in slices of BLOCK bytes, and of one row at least."""
    step = max(1, BLOCK // max(1, row_bytes))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def write_manifest(folder: Path, manifest: pd.DataFrame, origin: Origin) -> DatasetInfo:
    """Second half: the manifest and dataset.json, beside the images."""
    images, height, width = read_images(folder).shape
    columns = manifest[list(MANIFEST_COLUMNS)].astype(MANIFEST_COLUMNS)
    columns.to_parquet(folder / MANIFEST, index=False)
    info = DatasetInfo(
        fingerprint=fingerprint(manifest, height, width),
        images=images,
        height=height,
        width=width,
        counts=count(manifest),
        origin=origin,
        files={name: file_sha256(folder / name) for name in (IMAGES, MANIFEST)},
    )
    (folder / INFO).write_text(info.to_json())
    return info


def read_images(folder: Path) -> npt.NDArray[np.uint8]:
    """Pixels of a version or of its first half, memory-mapped read-only."""
    images: npt.NDArray[np.uint8] = np.load(folder / IMAGES, mmap_mode="r")
    return images


def read_info(folder: Path) -> DatasetInfo:
    """dataset.json of a version; raises DataError where there is none."""
    path = folder / INFO
    if not path.is_file():
        raise DataError(
            f"{folder} is no dataset version: it has no {INFO}. Make one with `ferline data ingest SOURCE`."
        )
    return DatasetInfo.from_json(path.read_text())


def open_dataset(folder: Path, verify: bool = False) -> Dataset:
    """Open a version; with `verify`, check the hash of every file first (DatasetCorrupt)."""
    info = read_info(folder)
    if verify:
        verify_files(folder, info.files)
    images = read_images(folder)
    manifest = pd.read_parquet(folder / MANIFEST)
    if images.shape != (info.images, info.height, info.width) or len(manifest) != info.images:
        raise DatasetCorrupt(f"{folder}: images {images.shape} and {len(manifest)} manifest rows do not match {INFO}.")
    return Dataset(folder, info, images, manifest)


def verify_files(folder: Path, files: Mapping[str, str]) -> None:
    """Check that each named file is there with its sha256; raises DatasetCorrupt."""
    for name, expected in files.items():
        path = folder / name
        if not path.is_file() or file_sha256(path) != expected:
            state = "is missing" if not path.is_file() else "differs from its recorded sha256"
            raise DatasetCorrupt(f"{path} {state}: delete the folder and ingest the source again.")
