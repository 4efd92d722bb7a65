"""Pictures made worse, each way in five strengths, for small gray faces.

After Hendrycks & Dietterich 2019 (arXiv 1903.12261). What is drawn at random is drawn alike at every strength, so that
strengths differ in nothing else. Images are changed some at a time: in floats, all would take several times their size.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from components.evaluation.behaviour import Images, jpeg, relight, tilt, to_pixels

SEED = 0
GRAY = 128
PART = 2048
"""Images changed at a time, an even number: as float32 at 48 px, 19 MB."""
Change = Callable[[Images, float], Images]


@dataclass(frozen=True)
class Corruption:
    """One way in which a picture gets worse."""

    unit: str
    strengths: tuple[float, float, float, float, float]
    """Weakest first."""
    change: Change
    """Images uint8 [N, H, W] and a strength -> images of the same shape."""


def in_parts(change: Change) -> Change:
    """The same change, its memory beyond the result's that of one part; it is asked for the parts in order."""

    def whole(images: Images, strength: float) -> Images:
        changed = np.empty_like(images)
        for start in range(0, len(images), PART):
            changed[start : start + PART] = change(images[start : start + PART], strength)
        return changed

    return whole


def flatten(images: Images, kept: float) -> Images:
    """Contrast shrunk towards each image's own mean. kept: 0 (all gray) to 1."""
    means = images.mean((1, 2), dtype=np.float32, keepdims=True)
    return to_pixels(means + np.float32(kept) * (images - means))


def blur(images: Images, deviation: float) -> Images:
    """Gaussian blur by a deviation in pixels; edges repeated."""
    return to_pixels(gaussian_filter(images.astype(np.float32), (0, deviation, deviation), mode="nearest"))


def add_noise(images: Images, deviation: float) -> Images:
    """Gaussian noise of a deviation in gray levels, drawn for each pixel."""
    generator = np.random.default_rng(SEED)

    def grainy(part: Images, deviation: float) -> Images:
        return to_pixels(part + np.float32(deviation) * generator.standard_normal(part.shape, dtype=np.float32))

    return in_parts(grainy)(images, deviation)


def occlude(images: Images, share: float) -> Images:
    """A gray rectangle of the image's proportions over that share of it, at a place drawn for each image."""
    places = np.random.default_rng(SEED).random((2, len(images), 1))
    inside = []
    for side, place in zip(images.shape[1:], places, strict=True):
        length = round(side * share**0.5)
        first = np.floor(place * (side - length + 1))  # [N, 1]
        inside.append((np.arange(side) >= first) & (np.arange(side) < first + length))
    return np.where(inside[0][:, :, None] & inside[1][:, None], np.uint8(GRAY), images)


def turn(images: Images, degrees: float) -> Images:
    """Every other image counter-clockwise, the rest clockwise."""
    turned = images.copy()
    turned[::2], turned[1::2] = tilt(images[::2], degrees), tilt(images[1::2], -degrees)
    return turned


CORRUPTIONS: Mapping[str, Corruption] = {
    "darker": Corruption("times the light", (0.7, 0.5, 0.35, 0.2, 0.1), in_parts(relight)),
    "brighter": Corruption("times the light", (1.25, 1.5, 2.0, 2.5, 3.0), in_parts(relight)),
    "contrast": Corruption("share of the contrast", (0.6, 0.4, 0.25, 0.15, 0.08), in_parts(flatten)),
    "blur": Corruption("pixels, deviation", (0.5, 1.0, 1.5, 2.0, 3.0), in_parts(blur)),
    "noise": Corruption("gray levels, deviation", (8, 16, 26, 38, 54), add_noise),
    "occlusion": Corruption("share of the image", (0.05, 0.1, 0.2, 0.3, 0.4), occlude),
    "rotation": Corruption("degrees", (5, 10, 20, 30, 45), in_parts(turn)),
    "jpeg": Corruption(
        "JPEG quality", (50, 25, 15, 10, 5), in_parts(lambda images, quality: jpeg(images, int(quality)))
    ),
}
"""Name -> what is done. Brightness goes both ways, since a recipe that normalises each image undoes the one alone."""
