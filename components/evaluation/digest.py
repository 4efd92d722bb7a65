"""Name the frozen test images that two models must share to be compared."""

import hashlib

import pandas as pd


def images_digest(frame: pd.DataFrame) -> str:
    """sha256 over (id, label) of the rows in order; frame: manifest or predictions.parquet, with columns id and label.

    An id is a digest of pixels, so another image, another label or another order gives another digest.
    """
    lines = frame["id"].astype(str).str.cat(frame["label"].astype(int).astype(str), sep=" ")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
