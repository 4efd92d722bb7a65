"""Find faces in photographs and cut them out as FER-2013 did: OpenCV's frontal cascade (Viola & Jones 2001).

`python -m benchmarks.crops` measures how FER-2013's own crops lie about the cascade's boxes: they are 1.03 times as
wide (median of 1,000) and centred on them, hence a margin of 0.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from components.errors import NoFace

Gray = npt.NDArray[np.uint8]
FaceMode = Literal["auto", "none", "largest", "all"]

CROP_SIDE = 64
"""`auto`, `all`: pictures no larger are taken to be face crops."""
CROP_SHARE = 0.7
"""`auto`, `all`: neither is a picture cut whose face already fills this share of both its sides."""
LEAST_FACE = 24
SEARCH_SIDE = 640
"""Larger pictures are searched at this size."""

_local = threading.local()


@dataclass(frozen=True)
class Box:
    """A face in the upright picture, pixels from its upper left corner."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Face:
    """A face cut out."""

    box: Box
    cut: Gray
    """uint8, the face at the picture's own resolution."""
    crop: Gray
    """uint8 [size, size], as the model takes it."""


def find_faces(picture: Gray) -> list[Box]:
    """Faces of at least 24 pixels, largest first."""
    shrunk = min(1.0, SEARCH_SIDE / max(picture.shape))
    searched = shrink(picture, shrunk)
    least = max(LEAST_FACE, min(searched.shape) // 12)
    found = _cascade().detectMultiScale(
        cv2.equalizeHist(np.asarray(searched, np.uint8)), scaleFactor=1.1, minNeighbors=6, minSize=(least, least)
    )
    boxes = [Box(*(round(float(value) / shrunk) for value in box)) for box in found]
    return sorted(boxes, key=lambda box: box.width * box.height, reverse=True)


def shrink(picture: Gray, share: float) -> Gray:
    """The same at a share of its size, no side below a pixel."""
    if share >= 1:
        return picture
    width, height = (max(1, round(share * side)) for side in picture.shape[::-1])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def cut_faces(picture: Gray, mode: FaceMode, size: tuple[int, int], margin: float = 0.0) -> list[Face]:
    """The faces to be answered, as the model takes them; one of them unless the mode is `all`.

    picture: uint8 [H, W]. mode: `auto` takes a face crop as it is and cuts the largest face out of a photograph;
    `all` likewise, and cuts out every face; `none` takes the picture whole; `largest` always searches. size: height and
    width of a crop. margin: share of the box's side added on every side. Raises NoFace where a face is searched and
    none is found.
    """
    height, width = picture.shape
    whole = Box(0, 0, width, height)
    crop_alone = mode in ("auto", "all")
    if mode == "none" or (crop_alone and max(height, width) <= CROP_SIDE):
        return [Face(whole, picture, _resized(picture, size))]
    boxes = find_faces(picture)
    if not boxes:
        raise NoFace(
            f"no face of at least {LEAST_FACE} pixels was found in the picture of {width} x {height}. Send a larger, "
            "frontal one, or face=none where the picture is a face already."
        )
    if crop_alone and _fills(boxes[0], whole):
        return [Face(whole, picture, _resized(picture, size))]
    chosen = boxes if mode == "all" else boxes[:1]
    cuts = [(box, _cut(picture, box, margin)) for box in chosen]
    return [Face(box, cut, _resized(cut, size)) for box, cut in cuts]


def _fills(box: Box, whole: Box) -> bool:
    return box.width >= CROP_SHARE * whole.width and box.height >= CROP_SHARE * whole.height


def _cut(picture: Gray, box: Box, margin: float) -> Gray:
    """The box and its margin; what lies beyond the picture repeats its edge."""
    extra = round(margin * box.width)
    rows = np.arange(box.top - extra, box.top + box.height + extra).clip(0, picture.shape[0] - 1)
    columns = np.arange(box.left - extra, box.left + box.width + extra).clip(0, picture.shape[1] - 1)
    cut: Gray = picture[np.ix_(rows, columns)]
    return cut


def _resized(picture: Gray, size: tuple[int, int]) -> Gray:
    height, width = size
    if picture.shape == size:
        return picture
    way = cv2.INTER_AREA if picture.shape[0] > height else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=way), np.uint8)


def _cascade() -> "cv2.CascadeClassifier":
    """One a thread: a search writes into its classifier."""
    if not hasattr(_local, "cascade"):
        folder = Path(cv2.__file__).parent / "data"
        _local.cascade = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))
    found: cv2.CascadeClassifier = _local.cascade
    return found
