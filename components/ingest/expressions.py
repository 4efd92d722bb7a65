"""Facial expressions as intensities of FACS action units (Ekman & Friesen 1978; EMFACS for the emotions)."""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from components.ingest.strokes import Column, Columns
from components.labels import CLASSES


@dataclass(frozen=True)
class Actions(Columns):
    """Intensity of each action unit, 0 (absent) to about 1 (FACS grade E)."""

    inner_brow: Column
    """AU1."""
    outer_brow: Column
    """AU2."""
    brow_lower: Column
    """AU4."""
    lid_raise: Column
    """AU5."""
    cheek: Column
    """AU6."""
    lid_tight: Column
    """AU7."""
    nose_wrinkle: Column
    """AU9."""
    lip_raise: Column
    """AU10."""
    corner_up: Column
    """AU12."""
    corner_down: Column
    """AU15."""
    chin: Column
    """AU17."""
    stretch: Column
    """AU20."""
    press: Column
    """AU23 and AU24."""
    part: Column
    """AU25."""
    drop: Column
    """AU26."""


NEUTRAL = CLASSES.index("neutral")
UNITS = tuple(f.name for f in fields(Actions))

Mix = dict[str, float]
GLARE: Mix = {"brow_lower": 1.0, "lid_raise": 0.35, "lid_tight": 0.7}
SQUINT: Mix = {"brow_lower": 0.35, "cheek": 0.3, "lid_tight": 0.3}
SCARED: Mix = {"inner_brow": 1.0, "outer_brow": 0.45, "brow_lower": 0.55, "lid_raise": 0.9, "stretch": 1.0}

PROTOTYPES: dict[str, tuple[tuple[float, Mix], ...]] = {
    "angry": (
        (0.7, GLARE | {"press": 0.9, "chin": 0.2}),
        (0.3, GLARE | {"lip_raise": 0.45, "stretch": 0.2, "part": 0.9, "drop": 0.25}),
    ),
    "disgust": (
        (0.65, {"nose_wrinkle": 1.0, "lip_raise": 0.9, "corner_down": 0.55, "chin": 0.6} | SQUINT),
        (0.35, {"nose_wrinkle": 1.0, "lip_raise": 1.0, "corner_down": 0.4, "part": 0.7} | SQUINT),
    ),
    "fear": (
        (0.5, SCARED | {"part": 0.6}),
        (0.5, SCARED | {"part": 0.9, "drop": 0.22}),
    ),
    "happy": (
        (0.7, {"cheek": 0.9, "corner_up": 1.0, "part": 0.9}),
        (0.3, {"cheek": 0.8, "corner_up": 1.0}),
    ),
    "sad": (
        (0.8, {"inner_brow": 0.9, "brow_lower": 0.5, "corner_down": 1.0, "chin": 0.5}),
        (0.2, {"inner_brow": 0.9, "brow_lower": 0.6, "corner_down": 0.9, "part": 0.4, "cheek": 0.2}),
    ),
    "surprise": ((1.0, {"inner_brow": 0.9, "outer_brow": 1.0, "lid_raise": 0.85, "part": 0.6, "drop": 1.0}),),
    "neutral": ((1.0, {}),),
}
"""Variants of each emotion: (relative frequency, intensities)."""


def draw_actions(shown: npt.NDArray[np.int64], rng: np.random.Generator) -> Actions:
    """Action units of N faces: a variant of the emotion, weaker or stronger, incomplete, with a trace of another.

    shown: int64 [N], indices into CLASSES.
    """
    count = len(shown)
    table = _choose(shown, rng)  # [N, units]
    other = _choose(rng.integers(0, len(CLASSES), count), rng)
    mix = rng.uniform(0.1, 0.65, (count, 1)) * (rng.random((count, 1)) < 0.35)
    mix *= np.where(shown[:, None] == NEUTRAL, 0.6, 1.0)  # more of another emotion would be that emotion
    table = table * (1 - 0.5 * mix) + other * mix
    table *= rng.uniform(0.55, 1.1, (count, 1))
    table *= np.where(rng.random((count, 1)) < 0.08, 0.55, 1.0)
    table *= rng.uniform(0.65, 1.25, table.shape)
    table *= np.where(rng.random(table.shape) < 0.06, 0.35, 1.0)
    table += np.abs(rng.normal(0, 0.04, table.shape))
    return Actions(*(table[:, k : k + 1].astype(np.float32) for k in range(len(UNITS))))


def _choose(shown: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """One variant's intensities for each row: float64 [N, units]."""
    pick = rng.random(len(shown))
    table = np.zeros((len(shown), len(UNITS)))
    for label, name in enumerate(CLASSES):
        floor = 0.0
        for share, prototype in PROTOTYPES[name]:
            rows = (shown == label) & (pick >= floor) & (pick < floor + share)
            table[rows] = [prototype.get(unit, 0.0) for unit in UNITS]
            floor += share
    return table
