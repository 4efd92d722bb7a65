"""A window of one version's predictions, read in columns: a million rows do not bring a million embeddings along."""

from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from components.journal.logbook import Logbook
from components.predictions import Window

LIVE = ("champion", "canary", "pinned")
"""Roles whose answers somebody got: a shadow's and offline ones are none of the traffic."""
LIGHT = ["id", "role", "answer", "confidence", "uncertain", "brightness", "contrast", "sharpness", "tag"]

Floats = npt.NDArray[np.float32]


def read_window(
    logbook: Logbook, version: str, since: datetime, until: datetime, sample: int, last: int | None = None
) -> Window:
    """Read a window. sample: most rows that are drawn. last: only the newest so many predictions.

    Store errors pass through.
    """
    found = logbook.table(since, until, LIGHT, version).sort_by("id")
    live = pa.compute.is_in(found["role"], pa.array(LIVE))
    table = found.filter(live).drop_columns("role")
    table = table if last is None else table.slice(max(0, table.num_rows - last))
    rows = table.num_rows
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(rows, sample, replace=False)) if rows > sample else np.arange(rows)
    heavy = logbook.rows(table["id"].combine_chunks().take(pa.array(drawn)), ["role", "probabilities", "embedding"],
                         version)  # fmt: skip
    heavy = heavy.filter(pa.compute.is_in(heavy["role"], pa.array(LIVE)))
    told = logbook.told(since, until)
    ids = pa.array(sorted(told), pa.string())
    labelled = logbook.rows(ids, ["role", "answer", "probabilities"], version)
    labelled = labelled.filter(pa.compute.is_in(labelled["role"], pa.array(LIVE)))
    labels = pd.DataFrame({name: labelled[name].to_pandas() for name in ("id", "answer")})
    return Window(
        version, since, until, table.to_pandas(), drawn.astype(np.int64), _matrix(heavy["probabilities"]),
        _matrix(heavy["embedding"]) if rows and not heavy["embedding"].null_count else None,
        labels.assign(label=[told[id] for id in labels["id"]]), _matrix(labelled["probabilities"]),
    )  # fmt: skip


def _matrix(column: pa.ChunkedArray) -> Floats:
    """Lists of one length as rows, [N, D]."""
    flat: Floats = column.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return flat.reshape(len(column), -1) if len(column) else np.zeros((0, 0), np.float32)
