"""Ask an exported model, in batches, through ONNX Runtime on CPU."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from components.errors import DataError, ModelNotFound

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""
LATENCY_RUNS = 30
THROUGHPUT_BATCH, THROUGHPUT_RUNS = 64, 3


@dataclass(frozen=True)
class Outputs:
    """Answers to N images; an output is None where it was not asked for or the model has none."""

    probabilities: Floats
    """float32 [N, 7], calibrated: the temperature is inside the graph."""
    rollout: Floats | None = None
    """float32 [N, H, W], 0 to 1."""
    embedding: Floats | None = None
    """float32 [N, D]."""


@dataclass(frozen=True)
class Speed:
    """On this machine's CPU, as busy as it was."""

    latency_ms: float
    """Median time for one image."""
    images_per_second: float
    """In batches of 64."""


def open_model(path: Path, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session on `threads` cores (all by default).

    Raises ModelNotFound where there is no such file, or it is no model with `images` in and `probabilities` out.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    # Threads that spin while they wait take the cores that decoding and answering need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises several unrelated types
        raise ModelNotFound(f"{path} is no model that ONNX Runtime opens: {str(error).splitlines()[0]}") from error
    inputs, outputs = ([end.name for end in ends] for ends in (session.get_inputs(), session.get_outputs()))
    if inputs != ["images"] or "probabilities" not in outputs:
        raise ModelNotFound(
            f"{path} takes {', '.join(inputs)} and gives {', '.join(outputs)}; an exported face model takes images "
            "and gives probabilities. `python -m components.training` writes one."
        )
    return session


def answer(
    session: onnxruntime.InferenceSession,
    images: Images,
    *,
    rollout: bool = False,
    embedding: bool = False,
    batch_size: int = 256,
    progress: Progress | None = None,
) -> Outputs:
    """Answers of an opened model to uint8 images [N, H, W], 0-255; raises DataError for another size than its own."""
    _check_size(session, images)
    there = {output.name for output in session.get_outputs()}
    asked = {"probabilities": True, "rollout": rollout, "embedding": embedding}
    names = [name for name, wanted in asked.items() if wanted and name in there]
    parts = []
    for start in range(0, len(images), batch_size):
        parts.append(session.run(names, {"images": np.ascontiguousarray(images[start : start + batch_size])}))
        if progress:
            progress(min(start + batch_size, len(images)), len(images))
    return Outputs(
        **{name: np.concatenate(column) for name, column in zip(names, zip(*parts, strict=True), strict=True)}
    )


def score(
    model: Path,
    images: Images,
    *,
    rollout: bool = False,
    embedding: bool = False,
    batch_size: int = 256,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Outputs:
    """Answers of model.onnx to uint8 images [N, H, W], 0-255."""
    session = open_model(model, threads)
    return answer(session, images, rollout=rollout, embedding=embedding, batch_size=batch_size, progress=progress)


def speed(session: onnxruntime.InferenceSession, images: Images) -> Speed:
    """Time the model on the first of the images, after one unmeasured run of each size."""
    one, many = np.ascontiguousarray(images[:1]), np.ascontiguousarray(images[:THROUGHPUT_BATCH])
    latency = float(np.median(_seconds(session, one, LATENCY_RUNS)))
    throughput = len(many) / float(np.median(_seconds(session, many, THROUGHPUT_RUNS)))
    return Speed(1000 * latency, throughput)


def _seconds(session: onnxruntime.InferenceSession, images: Images, runs: int) -> list[float]:
    session.run(["probabilities"], {"images": images})  # the first run of a shape plans its memory
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        session.run(["probabilities"], {"images": images})
        times.append(time.perf_counter() - started)
    return times


def _check_size(session: onnxruntime.InferenceSession, images: Images) -> None:
    if images.ndim != 3 or not len(images) or images.dtype != np.uint8:
        raise DataError(f"images are {images.dtype} {list(images.shape)}; a model takes uint8 [N, H, W] with N >= 1.")
    height, width = session.get_inputs()[0].shape[1:]  # a name in place of a number where any size goes
    if any(
        isinstance(side, int) and side != given for side, given in zip((height, width), images.shape[1:], strict=True)
    ):
        raise DataError(
            f"the model takes images of {height}x{width}, these are {images.shape[1]}x{images.shape[2]}: "
            "evaluate it on a dataset version of its own size."
        )
