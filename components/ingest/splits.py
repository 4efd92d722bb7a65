"""Give every image its role where the source does not: by content, so that it never depends on order."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.errors import DataError
from components.ingest.records import TEST, UNSPLIT, Faces
from components.labels import PRIVATE_TEST, PUBLIC_TEST, SPLITS, TEST_SPLITS, TRAINING

DEFAULT_HELD_OUT = 0.2


def assign_splits(faces: Faces, sha256: npt.NDArray[np.str_], held_out: float | None, source: str) -> Faces:
    """Splits of SPLITS for every image; raises DataError where one stays empty.

    A source without splits gives `held_out` (0.2 if None) of each class to the test splits, half each; a single test
    split is halved; a source with Training alone is held out from only if `held_out` is given. Identical images go together.
    """
    splits = faces.splits.astype("<U16")
    if (splits == UNSPLIT).all():
        splits = _hold_out(splits, faces.labels, sha256, UNSPLIT, held_out or DEFAULT_HELD_OUT)
    elif held_out and not np.isin(splits, (*TEST_SPLITS, TEST)).any():
        splits = _hold_out(splits, faces.labels, sha256, TRAINING, held_out)
    if (splits == TEST).any():
        splits = _share_test(splits, faces.labels, sha256)
    missing = [name for name in SPLITS if not (splits == name).any()]
    if missing:
        advice = (
            " Name a share to hold out with --held-out 0.2." if TRAINING not in missing and len(missing) == 2 else ""
        )
        raise DataError(
            f"{source} has no image in split {' and '.join(missing)}; it needs {', '.join(SPLITS)}.{advice}"
        )
    return replace(faces, splits=splits)


def _share_test(
    splits: npt.NDArray[np.str_], labels: npt.NDArray[np.int64], sha: npt.NDArray[np.str_]
) -> npt.NDArray[np.str_]:
    """`test` beside a validation split is PrivateTest; alone it is halved."""
    if (splits == PUBLIC_TEST).any():
        return np.where(splits == TEST, PRIVATE_TEST, splits)
    chosen = _draw(splits == TEST, labels, sha, Fraction(1, 2))
    return np.where(chosen, PUBLIC_TEST, np.where(splits == TEST, PRIVATE_TEST, splits))


def _hold_out(
    splits: npt.NDArray[np.str_], labels: npt.NDArray[np.int64], sha: npt.NDArray[np.str_], pool: str, share: float
) -> npt.NDArray[np.str_]:
    held = _draw(splits == pool, labels, sha, Fraction(share).limit_denominator(1000))
    public = _draw(held, labels, sha, Fraction(1, 2))
    return np.where(public, PUBLIC_TEST, np.where(held, PRIVATE_TEST, TRAINING))


def _draw(
    pool: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64], sha: npt.NDArray[np.str_], share: Fraction
) -> npt.NDArray[np.bool_]:
    """A share of the distinct images of each class of the pool, those whose hash of the hash comes first."""
    frame = pd.DataFrame({"label": labels, "sha": sha})[pool].drop_duplicates("sha")
    frame["order"] = frame["sha"].str[
        ::-1
    ]  # another end of the hash for each halving would bias; reversed is as random
    frame = frame.sort_values(["label", "order"])
    rank = frame.groupby("label").cumcount()
    size = frame.groupby("label")["sha"].transform("size")
    first = rank < (size * float(share)).round().clip(lower=1)
    return pool & np.isin(sha, frame["sha"][first].to_numpy())
