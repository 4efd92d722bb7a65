"""The table of a dataset version: one row an image, in canonical order."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.dataset import row_blocks
from components.ingest.duplicates import SIDE, duplicate_groups, perceptual_hashes
from components.ingest.records import Faces, Report
from components.ingest.resize import pixel_file, resize_faces
from components.labels import SPLITS
from components.statistics import image_statistics


def canonical_order(faces: Faces, sha256: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    """Rows by split, label, pixels and, for identical images, source."""
    rank = np.array([SPLITS.index(split) for split in faces.splits])
    return np.lexsort((np.array(faces.sources, dtype=object), sha256, faces.labels, rank))


def build_manifest(
    faces: Faces,
    images: npt.NDArray[np.uint8],
    sha256: npt.NDArray[np.str_],
    order: npt.NDArray[np.int64],
    scratch: Path,
    report: Report,
) -> pd.DataFrame:
    """Columns MANIFEST_COLUMNS. images: already in canonical order; faces and sha256: in the source's.

    scratch: a folder for what does not fit into memory.
    """
    sha = sha256[order]
    phash = perceptual_hashes(images, report)
    exact, near = duplicate_groups(compared(images, scratch), sha, phash, report)
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


def compared(images: npt.NDArray[np.uint8], scratch: Path) -> npt.NDArray[np.uint8]:
    """The images at the size at which they are compared."""
    if images.shape[1:] == (SIDE, SIDE):
        return images
    small = pixel_file(scratch, len(images), SIDE)
    for rows in row_blocks(len(images), images[:1].nbytes):
        small[rows] = resize_faces(images[rows], SIDE)
    return small


def _ids(sha: npt.NDArray[np.str_]) -> "pd.Series[str]":
    """First 16 digits of the hash, `-k` for the k-th further copy."""
    series = pd.Series(sha)
    copy = series.groupby(series).cumcount()
    return series.str[:16] + np.where(copy > 0, "-" + copy.astype(str), "")
