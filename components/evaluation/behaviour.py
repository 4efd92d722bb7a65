"""Does an answer survive a change that should not matter? Flip, light, small rotations, JPEG (Ribeiro et al. 2020)."""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import rotate

from components.evaluation.records import BehaviourFigures

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
MOST = 1000
DEGREES = 5
JPEG_QUALITY = 50


def flip(images: Images) -> Images:
    """Left and right exchanged."""
    return images[:, :, ::-1]


def relight(images: Images, factor: float) -> Images:
    """Every pixel times the factor, clipped."""
    return to_pixels(images * np.float32(factor))


def tilt(images: Images, degrees: float) -> Images:
    """Turned in the plane, counter-clockwise where positive; edges repeated."""
    turned = rotate(images.astype(np.float32), degrees, axes=(2, 1), reshape=False, order=1, mode="nearest")
    return to_pixels(turned)


def to_pixels(values: npt.NDArray[np.float32]) -> Images:
    """Rounded and clipped to 0-255."""
    pixels: Images = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels


def jpeg(images: Images, quality: int = JPEG_QUALITY) -> Images:
    """Through a JPEG and back. quality: 1 to 95, as Pillow counts it."""
    return np.stack([_through_jpeg(image, quality) for image in images])


def _through_jpeg(image: Images, quality: int) -> Images:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer), dtype=np.uint8)


CHANGES: dict[str, Callable[[Images], Images]] = {
    "flip": flip,
    "darker": lambda images: relight(images, 0.8),
    "brighter": lambda images: relight(images, 1.2),
    "rotated left": lambda images: tilt(images, DEGREES),
    "rotated right": lambda images: tilt(images, -DEGREES),
    "jpeg": jpeg,
}
"""Name -> change of uint8 images [N, H, W]."""


def spread(n: int, most: int = MOST) -> Labels:
    """At most `most` of n rows at even steps: rows sorted by label then keep their shares of the classes."""
    count = min(n, most)
    return np.arange(count, dtype=np.int64) * n // count


def behaviour(classify: Callable[[Images], Labels], images: Images, answers: Labels) -> tuple[BehaviourFigures, ...]:
    """Share of images whose class stays as it was under each change, on at most 1,000 of the images.

    classify: uint8 [N, H, W] -> classes [N]; images: uint8 [N, H, W]; answers: classes of the images as they are.
    """
    chosen = spread(len(images))
    part, before = images[chosen], answers[chosen]
    return tuple(
        BehaviourFigures(name, float((classify(change(part)) == before).mean()), len(part))
        for name, change in CHANGES.items()
    )
