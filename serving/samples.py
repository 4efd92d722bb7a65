"""Faces for somebody who has no picture at hand: drawn, one of each class, nobody's."""

import base64
from functools import lru_cache

import numpy as np

from components.ingest.synthetic import SyntheticOptions, generate
from components.labels import CLASSES, TRAINING
from serving.pictures import png

SEED = 11  # every face plain to see


@lru_cache
def sample_faces() -> list[dict[str, str]]:
    """`class` and `png` (base64) of seven faces; drawing them takes a second, once."""
    images, labels, splits = generate(SyntheticOptions(images=700, seed=SEED, label_noise=0))
    rows = [int(np.flatnonzero((labels == k) & (splits != TRAINING))[0]) for k in range(len(CLASSES))]
    return [
        {"class": name, "png": base64.b64encode(png(images[row])).decode()}
        for name, row in zip(CLASSES, rows, strict=True)
    ]
