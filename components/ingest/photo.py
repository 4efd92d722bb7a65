"""The photograph around a drawn head: pose, backdrop, light, what stands in the way, focus, grain."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.ingest.expressions import Actions
from components.ingest.faces import paint_head
from components.ingest.heads import Heads
from components.ingest.strokes import Column, Columns, Plane, between, blend, inside, line

SIDE = 48
CELLS = 5  # coarse cells of the backdrop a side


@dataclass(frozen=True)
class Scenes(Columns):
    """How each face is photographed."""

    roll: Column
    zoom: Column
    centre_x: Column
    centre_y: Column
    turn: Column
    light_x: Column
    light_y: Column
    gain: Column
    gamma: Column
    slope_x: Column
    slope_y: Column
    backdrop: Column
    """[N, CELLS * CELLS] gray values."""
    blur: Column
    grain: Column
    thing: Column
    """What stands in the way: 0 nothing, else one of THINGS."""
    thing_x: Column
    thing_y: Column
    thing_tilt: Column
    thing_tone: Column


HAND, BAR, HAT, DISC = 1, 2, 3, 4
THINGS = (HAND, BAR, HAT, DISC)


def draw_scenes(count: int, rng: np.random.Generator, darker: float, blurrier: float, occluded: float) -> Scenes:
    """`count` photographs; the shifts change light, focus and occlusion of otherwise the same draws."""

    def among(low: float, high: float, columns: int = 1) -> Column:
        return rng.uniform(low, high, (count, columns)).astype(np.float32)

    def normal(spread: float) -> Column:
        return (spread * rng.standard_normal((count, 1))).astype(np.float32)

    hidden = rng.random((count, 1)) < 0.1 + 0.85 * occluded
    kind = rng.integers(1, len(THINGS) + 1, (count, 1))
    return Scenes(
        roll=normal(0.09).clip(-0.25, 0.25),
        zoom=among(1.02, 1.26),
        centre_x=23.5 + normal(1.1).clip(-3, 3),
        centre_y=23.8 + normal(1.1).clip(-3, 3),
        turn=normal(0.4).clip(-1, 1),
        light_x=among(-0.6, 0.6),
        light_y=among(-0.5, 0.2),
        gain=among(0.75, 1.4) * (1 - 0.67 * darker),
        gamma=among(0.75, 1.35),
        slope_x=among(-0.25, 0.25),
        slope_y=among(-0.2, 0.2),
        backdrop=among(0.05, 0.9) + 0.22 * rng.standard_normal((count, CELLS * CELLS)).astype(np.float32),
        blur=among(0.35, 0.95) + 1.8 * blurrier**1.5,
        grain=0.004 + 0.03 * among(0, 1) ** 2,
        thing=(hidden * kind).astype(np.float32),
        thing_x=among(-1, 1),
        thing_y=among(0, 1),
        thing_tilt=among(-0.7, 0.7),
        thing_tone=among(0, 1),
    )


def photograph(heads: Heads, actions: Actions, scenes: Scenes, grain: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Images uint8 [B, 48, 48]; takes 48 * 48 normal numbers an image from `grain`."""
    u, v = _face_coordinates(scenes)
    canvas = _backdrop(scenes)
    paint_head(canvas, heads, actions, u, v, scenes.turn, scenes.light_x, scenes.light_y)
    _hide(canvas, scenes, heads.skin, u, v)
    blurred = _blur(_expose(canvas, scenes), scenes.blur)
    noise = grain.standard_normal(blurred.shape, dtype=np.float32)
    levels = (blurred + scenes.grain * noise) * 255 + 0.5
    return np.clip(levels, 0, 255).astype(np.uint8).reshape(-1, SIDE, SIDE)


def _grid() -> tuple[Plane, Plane]:
    """Column and row of each pixel, [1, P] each."""
    row, column = np.divmod(np.arange(SIDE * SIDE, dtype=np.float32), SIDE)
    return column[None], row[None]


def _face_coordinates(scenes: Scenes) -> tuple[Plane, Plane]:
    x, y = _grid()
    x, y = x - scenes.centre_x, y - scenes.centre_y
    cos, sin = np.cos(scenes.roll) / scenes.zoom, np.sin(scenes.roll) / scenes.zoom
    return x * cos + y * sin, y * cos - x * sin


def _backdrop(scenes: Scenes) -> Plane:
    """Out-of-focus gray: coarse cells, smoothly enlarged."""
    at = np.linspace(0, CELLS - 1, SIDE, dtype=np.float32)[:, None]
    away = np.abs(at - np.arange(CELLS, dtype=np.float32))
    weight = np.clip(1 - away, 0, 1) ** 2 * (3 - 2 * np.clip(1 - away, 0, 1))  # [SIDE, CELLS]
    cells: Plane = scenes.backdrop.reshape(-1, CELLS, CELLS)
    gray: Plane = weight @ cells @ weight.T  # [B, SIDE, SIDE]
    return gray.clip(0.02, 1).reshape(-1, SIDE * SIDE)


def _hide(canvas: Plane, scenes: Scenes, skin: Column, u: Plane, v: Plane) -> None:
    """Put a hand, a bar, a hat or a disc before some of the faces."""
    for kind, draw in ((HAND, _hand), (BAR, _bar), (HAT, _hat), (DISC, _disc)):
        rows = np.flatnonzero(scenes.thing[:, 0] == kind)
        if len(rows):
            part = canvas[rows]
            draw(part, scenes.rows(rows), skin[rows], u[rows], v[rows])
            canvas[rows] = part


def _hand(canvas: Plane, scenes: Scenes, skin: Column, u: Plane, v: Plane) -> None:
    """Four fingers from a lower corner over the cheek or mouth."""
    side = np.where(scenes.thing_x < 0, -1, 1).astype(np.float32)
    x, y = u * side - 10 - 6 * scenes.thing_y, v - 10 + 8 * scenes.thing_tone
    angle = 0.5 + 0.6 * scenes.thing_tilt
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    reach = 7.0 - 0.25 * (across - 1) ** 2 * (np.abs(across) < 9)
    hand = inside(along + reach) * inside(8.0 - np.abs(across))
    fingers = np.abs((across / 4) % 1 - 0.5)  # 0 at the middle of a finger, 0.5 in the gap
    blend(canvas, skin * (0.98 - 0.9 * np.maximum(fingers - 0.28, 0)), hand)


def _bar(canvas: Plane, scenes: Scenes, skin: Column, u: Plane, v: Plane) -> None:
    """A strip across the picture: a caption, a microphone stand, a shadow's edge."""
    tilt = scenes.thing_tilt * np.where(scenes.thing_tone > 0.5, 1.0, 0.15).astype(np.float32)
    level = -19 + 40 * scenes.thing_y
    blend(canvas, scenes.thing_tone, line(v - level - tilt * u, 5.0 + 2 * np.abs(scenes.thing_x)))


def _hat(canvas: Plane, scenes: Scenes, skin: Column, u: Plane, v: Plane) -> None:
    """A cap or a scarf down to the brows."""
    brim = -12.5 + 3.5 * scenes.thing_y + 0.012 * u * u * np.sign(scenes.thing_x) + 0.1 * scenes.thing_tilt * u
    blend(canvas, 0.05 + 0.8 * scenes.thing_tone, inside(brim - v) * inside(21.0 - np.abs(u)))
    blend(canvas, 0.03 + 0.5 * scenes.thing_tone, between(v, brim - 2.4, brim) * inside(22.5 - np.abs(u)))


def _disc(canvas: Plane, scenes: Scenes, skin: Column, u: Plane, v: Plane) -> None:
    """Something round: a cup, a microphone, a shoulder."""
    x, y = u - 15 * scenes.thing_x, v - 4 - 14 * scenes.thing_y
    radius = 5.5 + 2.5 * np.abs(scenes.thing_tilt)
    blend(canvas, scenes.thing_tone * (0.9 + 0.02 * (x - y)), inside(radius - np.sqrt(x * x + y * y)))


def _expose(canvas: Plane, scenes: Scenes) -> Plane:
    """Light falling off across the picture, gain and gamma."""
    x, y = _grid()
    lit = canvas * scenes.gain * (1 + scenes.slope_x * (x / 24 - 1) + scenes.slope_y * (y / 24 - 1))
    return np.clip(lit, 1e-3, 1) ** scenes.gamma


def _blur(canvas: Plane, sigma: Column) -> Plane:
    """Gaussian blur of each image by its own width, edges extended by weight."""
    at = np.arange(SIDE, dtype=np.float32)
    away = (at[:, None] - at) / sigma[:, :, None]  # [B, SIDE, SIDE]
    kernel = np.exp(np.maximum(-0.5 * away * away, -40))  # below e^-87 float32 turns subnormal, and ten times slower
    kernel /= kernel.sum(axis=2, keepdims=True)
    out = kernel @ canvas.reshape(-1, SIDE, SIDE) @ kernel.transpose(0, 2, 1)
    return out.reshape(-1, SIDE * SIDE)
