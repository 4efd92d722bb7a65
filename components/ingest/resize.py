"""Bring faces to one size."""

import numpy as np
import numpy.typing as npt
from PIL import Image


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
