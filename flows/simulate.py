"""Traffic that drifts: drawn faces with a shift that grows day by day, answered by the champion and written as log."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.ingest.records import Report
from components.ingest.synthetic import SyntheticOptions, generate
from components.journal import Logbook
from components.predictions import Label, Prediction, day_of, id_at
from components.registry.answer import ask
from components.registry.records import read_package
from components.statistics import image_statistics

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Day:
    """One simulated day."""

    begins: datetime
    images: Images
    """uint8 [N, 48, 48]."""
    labels: Labels
    shift: float
    """Strength, 0 to 1."""


def days(count: int, faces: int, calm: int, last: datetime, seed: int = 7) -> Iterator[Day]:
    """`calm` days without a shift, then one that grows to its full strength: darker, blurrier, another class mix.

    last: when the last day begins.
    """
    for k in range(count):
        shift = max(0.0, (k - calm + 1) / (count - calm)) if k >= calm else 0.0
        options = SyntheticOptions(images=max(faces, 100), seed=seed + k, label_noise=0.0)
        drifted = replace(options, darker=0.7 * shift, blurrier=0.8 * shift, class_mix=0.5 * shift)
        images, labels, _ = generate(drifted)
        order = np.random.default_rng(seed + k).permutation(len(labels))[:faces]
        yield Day(last - timedelta(days=count - 1 - k), images[order], labels[order], shift)


def answer_day(
    artifact: Path, version: str, day: Day, feedback: float, seed: int = 0
) -> tuple[list[Prediction], list[Label]]:
    """What the log would hold of a day, spread evenly over it. feedback: share of the faces whose class is told."""
    rng = np.random.default_rng(seed + int(day.begins.timestamp()))
    threshold = float(read_package(artifact)["uncertain_below"])
    answers = ask(artifact / "model.onnx", day.images)
    brightness, contrast, sharpness = image_statistics(day.images)
    pause = timedelta(days=1) / (len(day.images) + 1)
    rows = [
        Prediction(
            id=id_at(day.begins + (k + 1) * pause, rng.bytes(10)), version=version, role="champion",
            probabilities=answers.probabilities[k], uncertain=bool(answers.probabilities[k].max() <= threshold),
            brightness=float(brightness[k]), contrast=float(contrast[k]), sharpness=float(sharpness[k]),
            face_width=day.images.shape[2], latency_ms=0.0, embedding=answers.embedding[k],
            tag=("door", "desk")[k % 2],
        )
        for k in range(len(day.images))
    ]  # fmt: skip
    told = np.flatnonzero(rng.random(len(rows)) < feedback)
    when = day.begins + timedelta(hours=23, minutes=59)
    return rows, [Label(rows[k].id, when, int(day.labels[k])) for k in told]


def write_log(logbook: Logbook, rows: list[Prediction], labels: list[Label]) -> None:
    """A day's rows as a file of the log, its labels beside it."""
    logbook.add(day_of(rows[0].id), f"{rows[0].id}-{rows[-1].id}-simulated", rows)
    logbook.add_labels(labels)


def simulate(
    logbook: Logbook, artifact: Path, version: str, story: Iterator[Day], total: int, feedback: float, report: Report
) -> list[Day]:
    """Write every day of a story."""
    told = []
    for done, day in enumerate(story):
        report("simulated days", done, total)
        write_log(logbook, *answer_day(artifact, version, day, feedback))
        told.append(day)
    report("simulated days", total, total)
    return told


def midnight(now: datetime) -> datetime:
    """The last full day's begin."""
    return datetime(now.year, now.month, now.day, tzinfo=UTC) - timedelta(days=1)
