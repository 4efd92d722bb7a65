"""Give every image its role where the source does not: by content, so that it never depends on order."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.errors import DataError
from components.ingest.names import TEST, UNSPLIT
from components.ingest.records import Faces
from components.labels import PRIVATE_TEST, PUBLIC_TEST, SPLITS, TEST_SPLITS, TRAINING

DEFAULT_HELD_OUT = 0.2

Names = npt.NDArray[np.str_]
Rows = npt.NDArray[np.bool_]


def assign_splits(faces: Faces, sha256: Names, held_out: float | None, source: str) -> Faces:
    """Splits of SPLITS for every image; raises DataError where one stays empty.

    A source without splits gives `held_out` (0.2 if None) of each class to the test splits, half each; a single test
    split is halved; a source with Training alone is held out from only if `held_out` is given. Identical images stay
    together.
    """
    splits = faces.splits.astype("<U16")
    if (splits == UNSPLIT).all():
        splits = _hold_out(splits, faces.labels, sha256, UNSPLIT, held_out or DEFAULT_HELD_OUT)
    elif held_out and (splits == TRAINING).all():
        splits = _hold_out(splits, faces.labels, sha256, TRAINING, held_out)
    elif (splits == TEST).any():
        splits = _name_test(splits, faces.labels, sha256)
    missing = [name for name in SPLITS if not (splits == name).any()]
    if missing:
        advice = " Name a share to hold out with --held-out 0.2." if missing == list(TEST_SPLITS) else ""
        raise DataError(
            f"{source} has no image in split {' and '.join(missing)}; it needs {', '.join(SPLITS)}.{advice}"
        )
    return replace(faces, splits=splits)


def _name_test(splits: Names, labels: npt.NDArray[np.int64], sha: Names) -> Names:
    """`test` beside one of the test splits is the other; alone it is halved."""
    test = splits == TEST
    if (splits == PUBLIC_TEST).any():
        return np.where(test, PRIVATE_TEST, splits)
    if (splits == PRIVATE_TEST).any():
        return np.where(test, PUBLIC_TEST, splits)
    public = _draw(test, labels, sha, 0.5)
    return np.where(public, PUBLIC_TEST, np.where(test, PRIVATE_TEST, splits))


def _hold_out(splits: Names, labels: npt.NDArray[np.int64], sha: Names, pool: str, share: float) -> Names:
    held = _draw(splits == pool, labels, sha, share)
    public = _draw(held, labels, sha, 0.5)
    return np.where(public, PUBLIC_TEST, np.where(held, PRIVATE_TEST, TRAINING))


def _draw(pool: Rows, labels: npt.NDArray[np.int64], sha: Names, share: float) -> Rows:
    """A share of the distinct images of each class of the pool: those whose hash comes first.

    Of an image with two labels, the first label counts.
    """
    distinct = pd.DataFrame({"label": labels, "sha": sha})[pool].sort_values(["sha", "label"]).drop_duplicates("sha")
    rank = distinct.groupby("label").cumcount()
    size = distinct.groupby("label")["sha"].transform("size")
    first = rank < (size * share).round().clip(lower=1)
    return np.asarray(pool & np.isin(sha, distinct["sha"][first].to_numpy(dtype=str)), np.bool_)
