"""Heads with hair, brows, eyes, nose and mouth, moved by action units and drawn in batches.

Coordinates are those of the face: u to the right and v downwards, in pixels of a 48-pixel picture, origin between eyes
and nose. `m` is the distance from the midline, so that both halves of a face are drawn at once.
"""

from typing import NamedTuple

import numpy as np

from components.ingest.expressions import Actions
from components.ingest.heads import Heads
from components.ingest.strokes import Column, Plane, between, blend, inside, line, spot

EYE_LEVEL, BROW_LEVEL, NOSE_LEVEL, MOUTH_LEVEL = -4.0, -9.6, 5.0, 11.3
BROWS, EYES, NOSE, CHEEKS, MOUTH = (slice(*rows) for rows in ((0, 25), (6, 32), (16, 38), (14, 46), (24, 48)))
"""Rows that each part can reach at any tilt, zoom and shift; nothing of it is drawn outside."""


def paint_head(
    canvas: Plane, head: Heads, act: Actions, u: Plane, v: Plane, turn: Column, light_x: Column, light_y: Column
) -> None:
    """Paint one head on each canvas [B, 48 * 48], in place.

    u, v: face coordinates of each pixel; turn: yaw, -1 to 1; light: where it comes from, in units of the head.
    """
    hair = _hair(canvas, head, u, v)
    _neck_and_ears(canvas, head, u, v)
    x = u - 4.0 * turn
    side = np.copysign(np.float32(1), x)
    m = np.abs(x)
    m *= 1 + (0.16 * turn) * side
    face = np.ones_like(u)
    _relief(face, head, act, m, v)
    face *= head.skin
    _mouth(face, head, act, side, m, v)
    _eyes(face, head, act, side, m, v)
    _brows(face, head, act, side, m, v)
    depth, facing = _ball(head, act, u, v, light_x, light_y)
    face *= facing
    blend(canvas, face, inside(depth))
    depth += head.hair_volume
    blend(canvas, hair, _fringe(head, u, v) * inside(depth))
    _glasses(canvas, head, m, v)


def _ball(head: Heads, act: Actions, u: Plane, v: Plane, light_x: Column, light_y: Column) -> tuple[Plane, Plane]:
    """The skull, an egg: depth inside its outline, and how much light its surface gets."""
    below = np.clip(v * (1 / head.height), 0, 1)
    across = u / (head.width * (1 - head.taper * below * below))
    along = v / (head.height + 2.2 * act.drop * (v > 0))
    radius2 = across * across + along * along
    depth = (1 - np.sqrt(radius2)) * head.width
    out = np.sqrt(np.maximum(1 - 0.8 * radius2, 0.06))
    facing = np.clip(0.25 + 0.78 * (across * light_x + along * light_y + out), 0.12, 1.25)
    return depth, facing


def _band(rows: slice, *planes: Plane) -> list[Plane]:
    """The same rows of each plane, as views."""
    side = round(planes[0].shape[1] ** 0.5)
    return [plane[:, rows.start * side : rows.stop * side] for plane in planes]


def _hair(canvas: Plane, head: Heads, u: Plane, v: Plane) -> Plane:
    """Hair behind the head; returns its tone, strands included."""
    across = u * (1 / (head.width + head.hair_volume))
    above = np.minimum(v, 0) * (1 / (head.height + head.hair_volume))
    depth = (1 - np.sqrt(across * across + above * above)) * head.width
    strands = np.sin(1.9 * u + (0.3 + head.parting) * v)
    strands *= 0.07 * head.hair
    strands += head.hair
    blend(canvas, strands, inside(depth) * inside((head.hair_length - v) * 0.5))
    return strands


def _fringe(head: Heads, u: Plane, v: Plane) -> Plane:
    """Hair before the forehead and temples."""
    side = np.abs(u) * (1 / head.width)
    temple = np.maximum(side * side - 0.62, 0)
    steep = 2.2 * (head.hair_length - head.hairline)
    edge = head.hairline + head.parting * u + steep * temple
    slope = (2 * steep / head.width) * side * (temple > 0)  # of the edge: its distance is shorter than its height
    return inside((edge - v) / (1.2 + slope))


def _neck_and_ears(canvas: Plane, head: Heads, u: Plane, v: Plane) -> None:
    under, across, down = _band(MOUTH, canvas, u, v)
    blend(under, head.skin * 0.55, inside(head.width * 0.62 - np.abs(across)) * inside(down - 14))
    beside, across, down = _band(NOSE, canvas, u, v)
    ear = spot(np.abs(across) - head.width, down + 0.5, 2.4, 4.4)
    blend(beside, head.skin * 0.6, inside((ear - 0.25) * 6) * (head.hair_length < 5))


def _relief(tone: Plane, head: Heads, act: Actions, m: Plane, v: Plane) -> None:
    """Sockets, nose, cheeks, folds and wrinkles, as factors of the skin's tone."""
    worn = 0.35 + head.age
    _brow_relief(tone, m, v, act, worn)
    _eye_relief(tone, m, v, head, act, worn)
    nose = NOSE_LEVEL + head.nose_level - 1.2 * act.nose_wrinkle
    wide = head.nose_width * (1 + 0.18 * act.nose_wrinkle)
    _nose_relief(tone, m, v, nose, wide)
    t, m, v = _band(CHEEKS, tone, m, v)
    t += (0.05 + 0.16 * act.cheek) * spot(m - 9.5, v - 4.0 + 1.2 * act.cheek, 3.4, 2.6)
    fold = np.maximum(0.9 * act.corner_up, np.maximum(1.0 * act.nose_wrinkle, 0.8 * act.lip_raise)) + 0.25 * head.age
    end = head.mouth_width + 1.8 + 2.0 * act.corner_up
    low = MOUTH_LEVEL + head.mouth_level - 0.2 - 2.0 * act.corner_up
    s = np.clip((v - nose + 1) * (1 / (low - nose + 1)), 0, 1)
    curve = wide + 0.6 + (end - wide - 0.6) * s * (1.35 - 0.35 * s)
    t -= (0.34 * fold) * line((m - curve) * 0.8, 1.3) * between(v, nose - 1.0, low, 1.5)
    t -= (0.24 * act.nose_wrinkle) * spot(m - 3.4, v - nose + 2.2, 1.3, 1.6)


def _brow_relief(tone: Plane, m: Plane, v: Plane, act: Actions, worn: Column) -> None:
    """Forehead furrows (AU1, AU2) and frown lines (AU4)."""
    t, m, v = _band(BROWS, tone, m, v)
    t -= (0.2 * act.brow_lower) * spot(m, v + 8.0, 3.0, 2.4)
    arch = v - 0.012 * m * m
    raised = np.maximum(act.outer_brow, 0.75 * act.inner_brow * (m < 6)) * (0.26 * worn)
    furrow = line(arch + 17.6, 0.9) + line(arch + 15.0, 0.9)
    t -= raised * furrow * inside((9.0 - m) * (1 / 3))
    t -= ((0.2 + 0.3 * worn) * act.brow_lower) * line(m - 1.5, 1.0) * between(v, -11.5, -6.5, 1.5)


def _eye_relief(tone: Plane, m: Plane, v: Plane, head: Heads, act: Actions, worn: Column) -> None:
    """Sockets, wrinkles across the nose (AU9), crow's feet (AU6)."""
    t, m, v = _band(EYES, tone, m, v)
    t -= 0.24 * spot(m - head.eye_distance + 0.6, v - EYE_LEVEL + 1.5, 5.2, 3.0)
    chevron = v + 0.45 * m
    wrinkle = line(chevron + 4.0, 0.9) + line(chevron + 1.8, 0.9) + line(chevron - 0.4, 0.9)
    t -= (0.36 * act.nose_wrinkle) * wrinkle * inside(3.6 - m)
    out = m - 13
    ray = line(v + 3.6 + 0.35 * out, 0.8) + line(v + 2.0 - 0.3 * out, 0.8)
    t -= (0.22 * act.cheek * worn) * ray * between(m, 12.8, 15.6)


def _nose_relief(tone: Plane, m: Plane, v: Plane, nose: Column, wide: Column) -> None:
    """Tip, wings, flanks and nostrils; nose: the height of its base."""
    t, m, v = _band(NOSE, tone, m, v)
    down = v - nose
    t += 0.13 * spot(m, down + 1.4, 1.7, 3.5)
    t -= 0.2 * spot(m - wide, down + 1.0, 1.3, 1.8)
    t -= 0.09 * spot(m - 2.6, down + 6.0, 1.2, 4.0)
    t -= 0.5 * spot(m - 0.52 * wide, down - 0.5, 0.9, 0.6)


def _eyes(face: Plane, head: Heads, act: Actions, side: Plane, m: Plane, v: Plane) -> None:
    """Lids, whites and irises: AU5 widens, AU7 and AU6 narrow."""
    face, m, v, side = _band(EYES, face, m, v, side)
    out = m - head.eye_distance
    p = out * (1 / head.eye_width)
    bow = np.maximum(1 - p * p, 0)
    level = EYE_LEVEL - head.eye_tilt * out
    lift = 1 + 0.85 * act.lid_raise - 0.42 * act.lid_tight - 0.3 * act.cheek - 0.35 * act.nose_wrinkle
    lift -= 0.28 * np.minimum(act.inner_brow, act.corner_down)
    up = np.maximum(2.1 * head.eye_height * lift, 0.25)
    low = np.maximum(1.35 * head.eye_height * (1 + 0.2 * act.lid_raise - 0.45 * act.lid_tight - 0.75 * act.cheek), -0.1)
    top, bottom = level - up * bow, level + low * bow
    ends = inside((1 - np.abs(p)) * head.eye_width)
    folds = 0.3 * line(v - bottom - 0.1, 0.8) + 0.17 * line(v - top + 1.9, 0.8)
    folds += (0.06 * head.age + 0.25 * act.cheek).clip(0, 0.35) * line(v - bottom - 1.7, 0.9)
    face *= 1 - folds * ends
    opening = inside(v - top) * inside(bottom - v) * ends
    blend(face, 0.55 + 0.4 * head.skin, opening * 0.95)
    iris = np.sqrt(out * out + (v - EYE_LEVEL + 0.35) ** 2)
    blend(face, head.iris, opening * inside(1.95 - iris))
    glint = np.sqrt((out * side + 0.7) ** 2 + (v - EYE_LEVEL + 1.1) ** 2)
    blend(face, 1.0, opening * inside(0.35 - glint) * 0.8)
    blend(face, 0.2 * head.skin, line(v - top + 0.2, 1.15) * inside((1.12 - np.abs(p)) * head.eye_width) * 0.95)


def _brows(face: Plane, head: Heads, act: Actions, side: Plane, m: Plane, v: Plane) -> None:
    """Brows: AU1 lifts the inner end, AU2 the outer, AU4 lowers and draws together."""
    face, m, v, side = _band(BROWS, face, m, v, side)
    inner = head.eye_distance - 5.0 - 1.5 * act.brow_lower
    outer = head.eye_distance + 6.2
    t = np.clip((m - inner) * (1 / (outer - inner)), 0, 1)
    r = 1 - t
    rise = (4 * head.brow_arch) * t * r + head.brow_slope * (t - 0.5)
    rise += (3.4 * act.inner_brow - 2.9 * act.brow_lower) * (r * r) - act.nose_wrinkle * r
    rise += act.outer_brow * (3.2 * t * (1.6 - t) + 0.6) - 0.6 * act.brow_lower
    rise *= 1 + head.asymmetry * side
    curve = BROW_LEVEL + head.brow_level - rise + 1.2 * t * t
    thick = head.brow_thickness * (1.1 - 0.65 * t * t)
    cover = inside(thick * 0.5 - np.abs(v - curve)) * between(m, inner, outer)
    blend(face, np.minimum(head.hair * 0.8, head.skin * 0.5), cover * 0.88)


class Lips(NamedTuple):
    """Heights of a mouth at each pixel's distance from the midline."""

    level: Plane
    width: Plane
    corner: Plane
    """How far the corners lie below the middle."""
    seam: Plane
    top: Plane
    bottom: Plane
    """Edges of the opening; both on the seam where the lips touch."""
    upper: Plane
    lower: Plane
    """Outer edges of the lips."""


def _lips(head: Heads, act: Actions, side: Plane, m: Plane) -> Lips:
    """AU12 lifts the corners, AU15 lowers them, AU20 stretches, AU25 parts and AU26 drops, AU17 and AU10 raise."""
    level = MOUTH_LEVEL + head.mouth_level - 1.0 * act.chin * (1 - act.drop) - 0.9 * act.lip_raise
    wider = 0.26 * act.corner_up + 0.3 * act.stretch - 0.14 * act.press - 0.26 * act.drop - 0.08 * act.chin
    width = head.mouth_width * (1 + wider)
    q2 = np.minimum((m / width) ** 2, 1.2)
    bow = np.maximum(1 - q2, 0)
    round_bow = np.sqrt(bow)
    corner = head.mouth_curve - 3.7 * act.corner_up + 2.9 * act.corner_down + 0.4 * act.stretch
    corner = corner * (1 + head.asymmetry * side)
    seam = level + corner * q2 + 0.4 * act.corner_up + np.minimum(0.5 * act.corner_down, 0.5) * (q2 - 0.6)
    shape = bow + (round_bow - bow) * np.clip(act.drop + 0.7 * act.stretch + 0.5 * act.lip_raise, 0, 1)
    top = seam - (0.9 * act.drop + act.part * (0.5 + 0.8 * act.lip_raise + 0.4 * act.stretch)) * shape
    bottom = seam + (5.4 * act.drop + act.part * (1.3 + 1.5 * act.corner_up + 1.2 * act.stretch)) * shape
    full = head.lips * np.clip(1 - 0.65 * act.press - 0.25 * act.stretch, 0.25, 1)
    upper = top - full * (0.15 + 0.85 * round_bow) - 0.5 * act.lip_raise * round_bow
    return Lips(level, width, corner, seam, top, bottom, upper, bottom + 1.25 * full * round_bow)


def _mouth(face: Plane, head: Heads, act: Actions, side: Plane, m: Plane, v: Plane) -> None:
    """Beard, lips, the dark between them with tongue and teeth, chin."""
    face, side, m, v = _band(MOUTH, face, side, m, v)
    lips = _lips(head, act, side, m)
    _beard(face, head, m, v, lips.level)
    ends = inside(lips.width - m)
    blend(face, head.skin * head.lip_tone, inside(v - lips.upper) * inside(lips.lower - v) * ends)
    dark = inside((lips.bottom - lips.top) * 0.8 - 0.45) * inside(v - lips.top) * inside(lips.bottom - v) * ends
    tongue = inside((v - lips.bottom) * 0.5 + 1.0)
    blend(face, head.skin * (0.1 + 0.16 * tongue), dark)
    teeth = 1.1 * act.corner_up + 0.6 * act.stretch + 0.6 * act.lip_raise + 0.25 * act.drop
    biting = inside(lips.top + 0.3 + 1.9 * np.minimum(teeth, 1) - v)
    blend(face, 0.5 + 0.45 * head.skin, dark * biting * np.clip(1.3 * teeth, 0, 0.9))
    closed = np.clip(1 - 1.2 * (act.part + act.drop), 0, 1)
    blend(face, 0.28 * head.skin, line(v - lips.seam, 0.95) * ends * (0.85 * closed))
    shade = 0.2 * spot(m, v - lips.lower - 0.9, 5.0, 1.0)
    shade += 0.3 * spot(m - lips.width - 0.4, v - lips.level - lips.corner, 1.1, 1.1)
    shade += (0.3 * act.chin) * spot(m, v - lips.level - 5.0, 4.5, 0.9)
    shade -= (0.18 * act.chin) * spot(m, v - lips.level - 7.6, 3.0, 1.4)
    face *= 1 - shade


def _beard(face: Plane, head: Heads, m: Plane, v: Plane, level: Plane) -> None:
    """Beard along the jaw and a moustache, the mouth left free, on those who wear one."""
    rows = np.flatnonzero(head.moustache[:, 0] + head.beard[:, 0] > 0)
    head, m, v, level, part = head.rows(rows), m[rows], v[rows], level[rows], face[rows]
    cheek = level - 0.5 - 1.1 * (m - 7.5)
    free = np.sqrt((m / (head.mouth_width + 1.5)) ** 2 + ((v - level - 0.6) / 3.4) ** 2)
    jaw = inside((v - cheek) / 2.5) * inside((free - 1) * 2.5)
    blend(part, head.hair, jaw * head.beard * 0.7)
    lip = between(v, level - 4.4 + 0.25 * m, level - 1.5 + 0.2 * m) * inside((7.5 - m) / 1.5)
    blend(part, head.hair, lip * head.moustache * 0.7)
    face[rows] = part


def _glasses(canvas: Plane, head: Heads, m: Plane, v: Plane) -> None:
    """Frames of those who wear any."""
    rows = np.flatnonzero(head.glasses[:, 0] > 0)
    canvas, m, v = _band(EYES, canvas, m, v)
    head, m, v, part = head.rows(rows), m[rows], v[rows], canvas[rows]
    rim = np.sqrt(((m - head.eye_distance) / 1.18) ** 2 + (v - EYE_LEVEL - 0.5) ** 2) - 4.6
    frame = np.maximum(line(rim, 1.0), line(v - EYE_LEVEL + 1.6, 0.9) * inside(2.6 - m))
    frame = np.maximum(frame, line(v - EYE_LEVEL + 1.4, 0.9) * between(m, head.eye_distance + 5.2, 18.0))
    blend(part, 0.12, frame * head.glasses)
    canvas[rows] = part
