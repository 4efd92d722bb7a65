"""Anti-aliased marks on planes of pixels, all images of a batch at once."""

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.floating[Any]]
"""float32 [B, P], one value a pixel; distances are in pixels of the face."""

Column = npt.NDArray[np.floating[Any]]
"""float32 [B, 1], one value an image, ready to meet a plane."""


@dataclass(frozen=True)
class Columns:
    """A record whose fields are columns of the same length."""

    def rows(self, rows: slice | npt.NDArray[np.int64]) -> Self:
        """The same record for some of the images."""
        return type(self)(*(getattr(self, f.name)[rows] for f in fields(self)))


def inside(depth: Plane) -> Plane:
    """Share of each pixel that is covered, from the signed depth inside a shape."""
    cover = depth + 0.5
    return np.clip(cover, 0, 1, out=cover)


def blend(canvas: Plane, value: Plane | float, cover: Plane) -> None:
    """Paint `value` over the canvas where `cover` is 1, in place."""
    change = value - canvas
    change *= cover
    canvas += change


def spot(x: Plane, y: Plane, width: Plane | float, height: Plane | float) -> Plane:
    """A soft round mark: 1 at the origin, a quarter at `width` and at `height`."""
    x, y = x * (1 / width), y * (1 / height)
    x *= x
    y *= y
    x += y
    x += 1
    np.reciprocal(x, out=x)
    x *= x
    return x


def line(distance: Plane, thickness: Plane | float) -> Plane:
    """A stroke along a curve, from the distance to it."""
    depth = np.abs(distance)
    np.subtract(thickness * 0.5 + 0.5, depth, out=depth)
    return np.clip(depth, 0, 1, out=depth)


def between(x: Plane, low: Plane | float, high: Plane | float, soft: float = 1.0) -> Plane:
    """1 where x lies between, with ends `soft` pixels long."""
    cover = inside((x - low) * (1 / soft))
    cover *= inside((high - x) * (1 / soft))
    return cover
