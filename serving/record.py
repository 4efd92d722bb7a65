"""Every answer becomes a record before it is sent; what cannot be recorded is counted, and answered all the same."""

import asyncio
import logging
import secrets
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from components.journal import Journal
from components.predictions import Prediction, id_at
from components.statistics import image_statistics
from serving import metrics
from serving.batcher import Answer
from serving.faces import Face
from serving.model import ServedModel
from serving.pictures import png

log = logging.getLogger("ferline.serving")


@dataclass(frozen=True)
class Answered:
    """One face with what a model said about it."""

    id: str
    face: Face
    answer: Answer
    model: ServedModel

    @property
    def uncertain(self) -> bool:
        return float(self.answer.probabilities.max()) <= float(self.model.package["uncertain_below"])


def new_id() -> str:
    """An id for one face's prediction; ids sort by time."""
    return id_at(datetime.now(UTC), secrets.token_bytes(10))


def rows(answered: list[Answered], role: str, tag: str, latency_ms: float, pixels: bool) -> list[Prediction]:
    """Records of answers, N >= 1. latency_ms: of the request. pixels: whether the crops are kept."""
    statistics = image_statistics(np.stack([item.face.crop for item in answered]))
    return [
        Prediction(
            id=item.id, version=item.model.version.version, role=role, probabilities=item.answer.probabilities,
            uncertain=item.uncertain, brightness=float(brightness), contrast=float(contrast),
            sharpness=float(sharpness), face_width=item.face.box.width, latency_ms=latency_ms,
            embedding=item.answer.embedding, tag=tag, pixels=png(item.face.crop) if pixels else None,
        )
        for item, brightness, contrast, sharpness in zip(answered, *statistics, strict=True)
    ]  # fmt: skip


class Recorder:
    """Writes records from a thread of its own: SQLite takes one writer at a time anyway."""

    def __init__(self, journal: Journal, pixels: bool) -> None:
        self.journal, self.pixels = journal, pixels
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ferline-record")

    async def keep(self, answered: list[Answered], role: str, tag: str, started: float) -> None:
        """Once it returns the records outlive a kill. started: time.perf_counter() at the request's start."""
        if answered:
            latency_ms = 1000 * (time.perf_counter() - started)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._write, answered, role, tag, latency_ms)

    def _write(self, answered: list[Answered], role: str, tag: str, latency_ms: float) -> None:
        try:
            self.journal.spool.add(rows(answered, role, tag, latency_ms, self.pixels))
        except (sqlite3.Error, OSError) as error:  # a full disk, say
            metrics.UNLOGGED.inc(len(answered))
            log.error("%d predictions could not be logged: %s", len(answered), error)
