"""Brightness, contrast and sharpness of each image, in chunks."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

CHUNK = 64 * 48 * 48  # pixels; more would leave the processor's cache

Floats = npt.NDArray[np.float32]


def image_statistics(images: npt.NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
    """(brightness, contrast, sharpness), float32 [N] each.

    Mean and standard deviation of the pixels, 0-255; variance of the 4-neighbour Laplacian of the inner pixels.
    """
    _, height, width = images.shape
    step = max(1, CHUNK // (height * width))
    if len(images) <= step:
        return _chunk(images)
    chunks = (images[start : start + step] for start in range(0, len(images), step))
    with ThreadPoolExecutor() as pool:
        parts = list(pool.map(_chunk, chunks))
    brightness, contrast, sharpness = (np.concatenate(column) for column in zip(*parts, strict=True))
    return brightness, contrast, sharpness


def _chunk(images: npt.NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
    x = images.astype(np.float32)
    laplacian = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:] - 4 * x[:, 1:-1, 1:-1]
    return x.mean((1, 2)), x.std((1, 2)), laplacian.var((1, 2))
