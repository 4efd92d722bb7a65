"""Bring faces to one size, and hold more of them than memory does."""

import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.dataset import row_blocks


def fit(image: Image.Image, size: int) -> Image.Image:
    """A gray image as `size` x `size`, bilinear; unchanged where it has that size."""
    return image if image.size == (size, size) else image.resize((size, size), Image.Resampling.BILINEAR)


def resize_faces(images: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """uint8 [N, H, W] -> uint8 [N, size, size]."""
    if images.shape[1:] == (size, size):
        return images
    resized = np.empty((len(images), size, size), np.uint8)
    for i, image in enumerate(images):
        resized[i] = np.asarray(fit(Image.fromarray(image), size))
    return resized


def pixel_file(folder: Path, count: int, size: int) -> npt.NDArray[np.uint8]:
    """Black images uint8 [count, size, size] on disk: a file without a name, which is gone with the array.

    Raises OSError where the disk has no room for them.
    """
    shape = (count, size, size)
    with tempfile.TemporaryFile(dir=folder) as stream:
        os.posix_fallocate(stream.fileno(), 0, max(count * size * size, 1))  # a full disk would kill a later write
        return np.asarray(np.memmap(stream, np.uint8, "r+", shape=shape))


def keep_rows(images: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Those rows, ascending, moved to the front in place."""
    for part in row_blocks(len(rows), images[:1].nbytes):
        images[part] = images[rows[part]]  # none is overwritten before it is read
    return images[: len(rows)]
