"""Answer many requests in one run of the model: whatever has queued while the last batch ran.

Nobody waits for a batch to fill. A batch holds faces for one model alone, the one its requests began with, so that an
exchange of models happens between batches and loses no request.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.errors import RequestError
from components.evaluation.scoring import Outputs
from serving import metrics
from serving.model import ServedModel

MOST = 64
MOST_WAITING = 4096
"""More than this is not kept waiting but refused."""


@dataclass(frozen=True)
class Answer:
    """What a model says about one face."""

    probabilities: npt.NDArray[np.float32]
    """float32 [7], sums to 1."""
    embedding: npt.NDArray[np.float32] | None
    """float32 [D]."""
    rollout: npt.NDArray[np.float32] | None
    """float32 [H, W], 0 to 1; None for a model without attention."""

    @classmethod
    def row(cls, outputs: Outputs, k: int) -> "Answer":
        """The k-th face's share of a batch."""
        rest = (None if part is None else part[k] for part in (outputs.embedding, outputs.rollout))
        return cls(outputs.probabilities[k], *rest)


@dataclass
class _Waiting:
    model: ServedModel
    crop: npt.NDArray[np.uint8]
    answer: "asyncio.Future[Answer]"


class Batcher:
    """One queue and one thread; made inside a running event loop by its first question."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self.most_waiting = most_waiting
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ferline-model")
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, model: ServedModel, crop: npt.NDArray[np.uint8]) -> Answer:
        """The model's answer to uint8 [height, width]. Raises RequestError 503 where too many wait already."""
        if len(self._waiting) >= self.most_waiting:
            raise RequestError(503, f"{len(self._waiting)} faces wait for an answer already; ask again soon.")
        loop = asyncio.get_running_loop()
        item = _Waiting(model, crop, loop.create_future())
        self._waiting.append(item)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._work())
        return await item.answer

    async def _work(self) -> None:
        while self._waiting:
            self._waiting = [item for item in self._waiting if not item.answer.done()]  # their clients have gone
            if not self._waiting:
                return
            model = self._waiting[0].model
            batch = [item for item in self._waiting if item.model is model][:MOST]
            chosen = set(map(id, batch))
            self._waiting = [item for item in self._waiting if id(item) not in chosen]
            await self._run(model, batch)

    async def _run(self, model: ServedModel, batch: list[_Waiting]) -> None:
        crops = np.stack([item.crop for item in batch])
        metrics.BATCH.observe(len(batch))
        try:
            outputs = await asyncio.get_running_loop().run_in_executor(self._thread, model.answer, crops)
        except Exception as error:  # one broken run must not leave its requests waiting for ever
            for item in batch:
                _settle(item.answer, error)
            return
        for k, item in enumerate(batch):
            _settle(item.answer, Answer.row(outputs, k))


def _settle(future: "asyncio.Future[Answer]", outcome: Answer | Exception) -> None:
    if future.done():  # its client has gone
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
