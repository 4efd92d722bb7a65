"""What people said about the service's answers, as images to learn from."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from PIL import Image

from components.ingest import NewFaces
from components.journal import Logbook


@dataclass(frozen=True, eq=False)
class Labelled:
    """All labels that are on record."""

    faces: NewFaces | None
    """Those with a picture; None where there is none."""
    without_picture: int
    """Labels whose prediction was logged without its pixels."""


def labelled_faces(logbook: Logbook) -> Labelled:
    """Every labelled prediction of the log, of whatever version: the newest label of each."""
    told = logbook.told(datetime.fromtimestamp(0, UTC), datetime.now(UTC))
    rows = logbook.rows(pa.array(sorted(told), pa.string()), ["pixels"])
    pictures = {id: data for id, data in zip(*(rows[n].to_pylist() for n in ("id", "pixels")), strict=True) if data}
    missing = len(told) - len(pictures)
    if not pictures:
        return Labelled(None, missing)
    images = [np.asarray(Image.open(io.BytesIO(data)).convert("L")) for data in pictures.values()]
    size = max(image.shape[0] for image in images)  # versions may have had other sizes
    same = [
        image if image.shape[0] == size else np.asarray(Image.fromarray(image).resize((size, size))) for image in images
    ]
    labels = np.array([told[id] for id in pictures], np.int64)
    return Labelled(NewFaces(np.stack(same), labels, list(pictures)), missing)
