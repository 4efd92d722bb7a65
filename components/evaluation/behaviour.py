"""Does an answer survive a change that should not matter? Flip, light, a small rotation, JPEG (Ribeiro et al. 2020)."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import rotate

from components.evaluation.records import BehaviourFigures
from components.evaluation.scoring import score

Images = npt.NDArray[np.uint8]
MOST = 1000


def flip(images: Images) -> Images:
    return images[:, :, ::-1]


def darker(images: Images) -> Images:
    return (images * 0.8).astype(np.uint8)


def brighter(images: Images) -> Images:
    return np.clip(images * 1.2, 0, 255).astype(np.uint8)


def tilt(images: Images) -> Images:
    """Five degrees, edges repeated."""
    turned = rotate(images.astype(np.float32), 5, axes=(1, 2), reshape=False, order=1, mode="nearest")
    return np.clip(turned, 0, 255).astype(np.uint8)


def jpeg(images: Images) -> Images:
    """Through a JPEG of quality 50 and back."""
    return np.stack([np.asarray(Image.open(_encode(image))) for image in images])


def _encode(image: Images) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=50)
    return buffer


CHANGES: dict[str, Callable[[Images], Images]] = {
    "flip": flip, "darker": darker, "brighter": brighter, "rotation": tilt, "jpeg": jpeg,
}  # fmt: skip


def behaviour(model: Path, images: Images, answers: npt.NDArray[np.int64]) -> tuple[BehaviourFigures, ...]:
    """Share of the first 1,000 images whose class stays under each change."""
    part, before = np.asarray(images[:MOST]), answers[:MOST]
    return tuple(
        BehaviourFigures(name, float((score(model, change(part)).probabilities.argmax(1) == before).mean()), len(part))
        for name, change in CHANGES.items()
    )
