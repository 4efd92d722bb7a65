"""A dataset version grown by labelled images of production, and the part of them that is held back.

New images go into Training alone, marked by their source (`prediction:<id>`), so that the validation slice leaves them
out (components/balancing/selection.py); no test split changes. Which side an image falls on follows from its pixels: it
stays there in every later version. A near-duplicate of a held-back image is learned from by nothing.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.dataset import PRODUCTION, Dataset, Origin, row_blocks
from components.errors import DataError
from components.ingest.duplicates import duplicate_groups, perceptual_hashes, pixel_hashes
from components.ingest.manifest import compared
from components.ingest.records import Faces, Ingested, Report, tell_nobody
from components.ingest.resize import pixel_file, resize_faces
from components.ingest.version import write_version
from components.labels import PUBLIC_TEST, TRAINING


@dataclass(frozen=True, eq=False)
class NewFaces:
    """Labelled images of production."""

    images: npt.NDArray[np.uint8]
    """uint8 [N, S, S]."""
    labels: npt.NDArray[np.int64]
    """int64 [N]."""
    ids: list[str]
    """Of the predictions."""


@dataclass(frozen=True)
class Extended:
    """What came of it."""

    dataset: Ingested
    held_back: Ingested
    """The held-back images alone, as PublicTest of a version that is scored and never trained on."""
    added: int
    kept_back: int
    ids: tuple[str, ...]
    """Predictions whose images are in either, or a near-duplicate of what is held back."""


def new_faces(base: Dataset, found: NewFaces) -> NewFaces:
    """Those whose pixels are in no split of the base, each once, at the base's size."""
    images = resize_faces(found.images, base.info.height)
    sha256 = pixel_hashes(images)
    _, first = np.unique(sha256, return_index=True)
    fresh = np.sort(first[~np.isin(sha256[first], base.manifest["sha256"].to_numpy(np.str_))])
    return NewFaces(images[fresh], found.labels[fresh], [found.ids[k] for k in fresh])


def extend(base: Dataset, new: NewFaces, share: float, work: Path, report: Report = tell_nobody) -> Extended:
    """Both versions, in folders below `work`. new: of `new_faces`; share: of the images that is held back.

    Raises DataError where either part would be empty.
    """
    sha256 = pixel_hashes(new.images)
    back = np.array([int(digest[:8], 16) < share * 2**32 for digest in sha256], bool)
    if back.all() or not back.any():
        raise DataError(
            f"{len(new.ids)} new images cannot be divided with a held-back share of {share}: wait for more."
        )
    options: dict[str, str | int | float | bool] = {"base": base.info.fingerprint, "held_back": share}
    work.mkdir(parents=True, exist_ok=True)
    _, near = duplicate_groups(compared(new.images, work), sha256, perceptual_hashes(new.images, report), report)
    learned = ~back & ~np.isin(near, near[back])  # a twin of what is held back would tell the answer
    if not learned.any():
        raise DataError("every new image has a near twin that is held back: wait for others.")
    images = pixel_file(work, len(base.images) + int(learned.sum()), base.info.height)  # it need not fit into memory
    for part in row_blocks(len(base.images), images[:1].nbytes):
        images[part] = base.images[part]
    images[len(base.images) :] = new.images[learned]
    kept = Faces(
        images,
        np.concatenate([base.labels, new.labels[learned]]),
        np.concatenate([base.manifest["split"].to_numpy(np.str_), np.full(int(learned.sum()), TRAINING)]),
        [*base.manifest["source"], *_sources(new, learned)],
    )
    apart = Faces(new.images[back], new.labels[back], np.full(int(back.sum()), PUBLIC_TEST), _sources(new, back))
    name = base.info.origin.name
    known = np.concatenate([base.manifest["sha256"].to_numpy(np.str_), sha256[learned]])
    dataset = write_version(kept, known, Origin("feedback", name, options), work, report)
    held = write_version(apart, sha256[back], Origin("held back", name, options), work, report)
    return Extended(dataset, held, int(learned.sum()), int(back.sum()), tuple(new.ids))


def _sources(new: NewFaces, chosen: npt.NDArray[np.bool_]) -> list[str]:
    return [PRODUCTION + id for id, taken in zip(new.ids, chosen, strict=True) if taken]
