"""A sheet of confirmed near-duplicate pairs, for a person to look at."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from components.dataset import PRODUCTION, Dataset
from components.labels import CLASSES

PAIRS, ACROSS, SIDE, CAPTION = 60, 6, 96, 26
"""Pairs on a sheet, pairs in a row, pixels of an image's side, pixels of the caption below it."""


@dataclass(frozen=True)
class Pair:
    """Two different images of one near-duplicate group."""

    left: int
    right: int
    difference: float
    """Mean absolute difference of their gray levels."""


def near_pairs(dataset: Dataset) -> list[Pair]:
    """One pair a group: its first image and the most alike of the others; the least alike pairs first.

    Pictures of production are left out: the sheet outlives a person's wish that theirs be deleted.
    """
    shown = dataset.manifest[~dataset.manifest["source"].str.startswith(PRODUCTION)]
    different = shown[~shown["exact_group"].duplicated()]
    repeated = different[different["near_group"].duplicated(keep=False)]
    pairs = [_closest(dataset, group) for _, group in repeated.groupby("near_group", sort=True)]
    return sorted(pairs, key=lambda pair: (-pair.difference, pair.left))


def _closest(dataset: Dataset, group: pd.DataFrame) -> Pair:
    rows = group.index.to_numpy()
    images = dataset.images[rows].astype(np.int16)
    differences = np.abs(images[1:] - images[0]).mean((1, 2))
    nearest = int(differences.argmin())
    return Pair(int(rows[0]), int(rows[nearest + 1]), float(differences[nearest]))


def draw_twins(dataset: Dataset, path: Path) -> bool:
    """Write a PNG of up to 60 pairs spread evenly from the least to the most alike; False where there are none."""
    pairs = near_pairs(dataset)
    if not pairs:
        return False
    shown = [pairs[i] for i in np.unique(np.linspace(0, len(pairs) - 1, min(PAIRS, len(pairs))).round().astype(int))]
    width, height = 2 * SIDE + 12, SIDE + CAPTION
    sheet = Image.new("L", (ACROSS * width, -(-len(shown) // ACROSS) * height), 255)
    for place, pair in enumerate(shown):
        _draw(sheet, dataset, pair, (place % ACROSS) * width, place // ACROSS * height)
    sheet.save(path, optimize=True)
    return True


def _draw(sheet: Image.Image, dataset: Dataset, pair: Pair, left: int, top: int) -> None:
    """Both images, below each its split and class, and how far they are apart."""
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    for row, x in ((pair.left, left), (pair.right, left + SIDE)):
        image = Image.fromarray(np.ascontiguousarray(dataset.images[row]))
        sheet.paste(image.resize((SIDE, SIDE), Image.Resampling.NEAREST), (x, top))
        label = int(dataset.labels[row])
        name = CLASSES[label] if 0 <= label < len(CLASSES) else f"label {label}"
        pen.text((x + 1, top + SIDE + 1), str(dataset.manifest["split"].iloc[row]), fill=0, font=font)
        pen.text((x + 1, top + SIDE + 12), name, fill=0, font=font)
    pen.text((left + 2 * SIDE - 26, top + SIDE + 12), f"{pair.difference:.1f}", fill=0, font=font)
