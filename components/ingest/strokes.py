"""Anti-aliased marks on planes of pixels: every plane is float32 [B, P], every coordinate in pixels of the face."""

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
"""float32 [B, P] or anything that broadcasts with it, such as a column [B, 1]."""


def inside(depth: Plane) -> Plane:
    """Share of each pixel that is covered, from the signed depth inside a shape."""
    cover: Plane = np.clip(depth + np.float32(0.5), 0, 1)
    return cover


def blend(canvas: Plane, value: Plane | float, cover: Plane) -> None:
    """Paint `value` over the canvas where `cover` is 1, in place."""
    canvas += cover * (value - canvas)


def bump(x: Plane, y: Plane, width: Plane | float, height: Plane | float) -> Plane:
    """A soft spot at the origin: 1 in its middle, a quarter at `width` and `height`."""
    spot = 1 / (1 + (x / width) ** 2 + (y / height) ** 2)
    return spot * spot


def line(distance: Plane, thickness: Plane | float) -> Plane:
    """A stroke along a curve, from the distance to it."""
    return inside(thickness * 0.5 - np.abs(distance))


def between(x: Plane, low: Plane | float, high: Plane | float, soft: float = 1.0) -> Plane:
    """1 where x lies between, with ends `soft` pixels long."""
    return inside((x - low) / soft) * inside((high - x) / soft)
