"""Who is drawn: the shape of head, hair and features that an expression does not change."""

from dataclasses import dataclass

import numpy as np

from components.ingest.strokes import Column, Columns


@dataclass(frozen=True)
class Heads(Columns):
    """Who is seen: what an expression does not change."""

    skin: Column
    hair: Column
    width: Column
    height: Column
    taper: Column
    hairline: Column
    hair_length: Column
    parting: Column
    hair_volume: Column
    eye_distance: Column
    eye_width: Column
    eye_height: Column
    eye_tilt: Column
    iris: Column
    brow_level: Column
    brow_thickness: Column
    brow_arch: Column
    brow_slope: Column
    nose_width: Column
    nose_level: Column
    mouth_level: Column
    mouth_width: Column
    mouth_curve: Column
    lips: Column
    lip_tone: Column
    age: Column
    beard: Column
    moustache: Column
    glasses: Column
    asymmetry: Column


def draw_heads(count: int, rng: np.random.Generator) -> Heads:
    """`count` people."""

    def among(low: float, high: float) -> Column:
        return rng.uniform(low, high, (count, 1)).astype(np.float32)

    def some(share: float, low: float = 1.0, high: float = 1.0) -> Column:
        return (rng.random((count, 1)) < share) * among(low, high)

    skin = among(0.42, 0.86)
    bearded = some(0.16, 0.3, 1.0)
    return Heads(
        skin=skin,
        hair=np.where(some(0.25) > 0, among(0.35, 0.75), among(0.05, 0.25)) * (0.4 + 0.7 * skin),
        width=among(14.8, 18.2),
        height=among(20.5, 23.0),
        taper=among(0.06, 0.32),
        hairline=among(-20.5, -14.0),
        hair_length=np.where(some(0.42) > 0, among(16.0, 50.0), among(-9.0, 0.0)),
        parting=among(-0.25, 0.25),
        hair_volume=among(0.8, 4.5),
        eye_distance=among(7.4, 9.0),
        eye_width=among(3.6, 4.9),
        eye_height=among(0.8, 1.2),
        eye_tilt=among(-0.10, 0.14),
        iris=among(0.05, 0.32),
        brow_level=among(-0.9, 0.9),
        brow_thickness=among(1.1, 2.6),
        brow_arch=among(0.2, 1.6),
        brow_slope=among(-0.7, 0.7),
        nose_width=among(2.4, 4.0),
        nose_level=among(-0.8, 0.9),
        mouth_level=among(-0.7, 0.9),
        mouth_width=among(5.6, 7.4),
        mouth_curve=among(-0.6, 0.6),
        lips=among(0.8, 2.1),
        lip_tone=among(0.62, 0.88),
        age=among(0.0, 1.0) ** 2,
        beard=bearded,
        moustache=np.maximum(bearded * (among(0, 1) > 0.2), some(0.05)),
        glasses=some(0.13, 0.5, 1.0),
        asymmetry=among(-0.22, 0.22),
    )
