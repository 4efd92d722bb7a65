"""The reference that was registered with a model: reference.parquet."""

from pathlib import Path

import numpy as np
import pandas as pd

from components.drift.records import Reference
from components.errors import DataError

LEAST = 50


def read_reference(path: Path, uncertain_below: float) -> Reference:
    """reference.parquet of a registered model. uncertain_below: the model's threshold, of its package.json.

    Raises DataError where the file is an old one, or holds too few images to tell drift.
    """
    table = pd.read_parquet(path)
    if "split" not in table:
        raise DataError(
            f"{path} was written by a ferline that took training images for a reference, to which a model always "
            "answers better than to new ones. Train and promote a model again."
        )
    if len(table) < LEAST:
        raise DataError(f"{path} holds {len(table)} images; at least {LEAST} are needed to tell drift.")
    columns = [name for name in table if str(name).startswith("e_")]
    renamed = table.rename(columns={"predicted": "answer"}).assign(uncertain=table["confidence"] <= uncertain_below)
    kept = ["brightness", "contrast", "sharpness", "answer", "confidence", "uncertain", "label"]
    return Reference(renamed[kept], table[columns].to_numpy(np.float32) if columns else None)
