"""A heat map laid over a face, as a PNG."""

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt

from serving.faces import shrink
from serving.pictures import png

MOST_SIDE = 1024


def overlay(face: npt.NDArray[np.uint8], heat: npt.NDArray[np.float32], colours: str, strength: float) -> bytes:
    """PNG of the face's size, at most 1,024 pixels a side; where the map is 1 the colour covers `strength` of the face.

    face: uint8 [h, w]; heat: float32 [H, W], 0 to 1; colours: a colour map of matplotlib; strength: 0 to 1.
    """
    face = shrink(face, MOST_SIDE / max(face.shape))  # 40 megapixels in floats would take gigabytes
    height, width = face.shape
    warm = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR).clip(0, 1)
    colour = matplotlib.colormaps[colours](warm)[..., :3]
    share = (strength * warm)[..., None]
    mixed = (1 - share) * (face[..., None] / 255) + share * colour
    return png((255 * mixed).round().astype(np.uint8))
