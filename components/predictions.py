"""One logged prediction, one label that came for it later, the tables both are kept in, and a window of them.

An id is a UUID of version 7 in 32 hex digits: ids sort by the millisecond they were made in, and tell the day.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

ROLES = ("champion", "canary", "shadow", "pinned", "offline")
"""champion: answered by the alias that is served. canary: by the challenger, for its share of the requests. shadow: by
the challenger beside the champion, whose answer was the one returned; it has the same id. pinned: by a version that
was named. offline: `ferline predict`."""

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("time", pa.timestamp("us", "UTC")),
        ("version", pa.string()),
        ("role", pa.string()),
        ("answer", pa.int8()),  # index into CLASSES (components.labels)
        ("confidence", pa.float32()),  # highest probability
        ("uncertain", pa.bool_()),
        ("probabilities", pa.list_(pa.float32())),  # one a class, in the order of CLASSES
        ("brightness", pa.float32()),  # components.statistics, of the crop
        ("contrast", pa.float32()),
        ("sharpness", pa.float32()),
        ("face_width", pa.int32()),  # of the face in the picture that was sent, pixels
        ("embedding", pa.list_(pa.float32())),  # CLS features before the head; null where the model gives none
        ("latency_ms", pa.float32()),
        ("tag", pa.string()),  # as the client gave it
        ("pixels", pa.binary()),  # the crop as a PNG; null unless FERLINE_LOG_PIXELS
    ]
)

LABELS = pa.schema([("id", pa.string()), ("time", pa.timestamp("us", "UTC")), ("label", pa.int8())])


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was answered about one face, by one model."""

    id: str
    version: str
    role: str
    """One of ROLES."""
    probabilities: npt.NDArray[np.float32]
    """float32 [7], sums to 1."""
    uncertain: bool
    brightness: float
    contrast: float
    sharpness: float
    face_width: int
    latency_ms: float
    embedding: npt.NDArray[np.float32] | None = None
    """float32 [D]."""
    tag: str = ""
    pixels: bytes | None = None

    @property
    def answer(self) -> int:
        return int(self.probabilities.argmax())

    @property
    def confidence(self) -> float:
        return float(self.probabilities.max())


@dataclass(frozen=True)
class Label:
    """The true class of a prediction, as somebody told it."""

    id: str
    time: datetime
    label: int
    """Index into CLASSES."""


@dataclass(frozen=True, eq=False)
class Window:
    """Live predictions of one version in [since, until), ids ascending: what drift is looked for in."""

    version: str
    since: datetime
    until: datetime
    table: pd.DataFrame
    """N rows: id, answer, confidence, uncertain, brightness, contrast, sharpness, tag."""
    drawn: npt.NDArray[np.int64]
    """int64 [n], ascending: rows drawn at random, of which the next two are; all where they are few."""
    probabilities: npt.NDArray[np.float32]
    """float32 [n, 7]."""
    embedding: npt.NDArray[np.float32] | None
    """float32 [n, D]; None where one of them has none."""
    labelled: pd.DataFrame
    """Predictions of this version whose label came in the window, of whichever time, L rows: id, answer, label."""
    labelled_probabilities: npt.NDArray[np.float32]
    """float32 [L, 7]."""

    @property
    def name(self) -> str:
        """First and last id with a dash: names windows in the order of time, and tells whether two overlap."""
        ids = self.table["id"]
        return f"{ids.iloc[0]}-{ids.iloc[-1]}"


def id_at(moment: datetime, ten_bytes: bytes) -> str:
    """An id of a prediction made then: a UUID of version 7 (RFC 9562). ten_bytes: by chance.

    Ids of one millisecond are in no order. Libraries keep one, by never going back: after a clock that was a day
    ahead they would date every prediction into the next day until that has come.
    """
    chance = int.from_bytes(ten_bytes, "big")
    version_and_variant = 0x7 << 76 | (chance >> 64 & 0xFFF) << 64 | 0x2 << 62 | chance & (1 << 62) - 1
    return f"{int(moment.timestamp() * 1000) << 80 | version_and_variant:032x}"


def made_at(id: str) -> datetime | None:
    """When an id was made, UTC to the millisecond; None for what is no id of a prediction."""
    try:
        value = int(id, 16) if len(id) == 32 else 0
        return datetime.fromtimestamp((value >> 80) / 1000, UTC) if (value >> 76) & 0xF == 7 else None
    except (ValueError, OverflowError, OSError):
        return None


def day_of(id: str) -> str:
    """The day an id was made on, such as 2026-11-25, UTC."""
    made = made_at(id)
    if made is None:
        raise ValueError(f"{id!r} is no id of a prediction")
    return made.date().isoformat()


def prediction_table(rows: list[Prediction]) -> pa.Table:
    """Rows as a table of SCHEMA."""
    return pa.table(
        {
            "id": [row.id for row in rows],
            "time": [made_at(row.id) for row in rows],
            "version": [row.version for row in rows],
            "role": [row.role for row in rows],
            "answer": [row.answer for row in rows],
            "confidence": [row.confidence for row in rows],
            "uncertain": [row.uncertain for row in rows],
            "probabilities": [row.probabilities for row in rows],
            "brightness": [row.brightness for row in rows],
            "contrast": [row.contrast for row in rows],
            "sharpness": [row.sharpness for row in rows],
            "face_width": [row.face_width for row in rows],
            "embedding": [row.embedding for row in rows],
            "latency_ms": [row.latency_ms for row in rows],
            "tag": [row.tag for row in rows],
            "pixels": [row.pixels for row in rows],
        },
        SCHEMA,
    )


def label_table(rows: list[Label]) -> pa.Table:
    """Rows as a table of LABELS."""
    return pa.table(
        {
            "id": [row.id for row in rows],
            "time": [row.time for row in rows],
            "label": [row.label for row in rows],
        },
        LABELS,
    )
