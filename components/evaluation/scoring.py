"""Ask an exported model, in batches, through ONNX Runtime on CPU."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from components.errors import ModelNotFound

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
LATENCY_RUNS = 30


@dataclass(frozen=True)
class Outputs:
    """Answers to N images."""

    probabilities: Floats
    """float32 [N, 7]."""
    rollout: Floats | None = None
    """float32 [N, H, W], 0 to 1; None where not asked for or not there."""


def open_model(path: Path) -> onnxruntime.InferenceSession:
    """A session; raises ModelNotFound where there is no such file or it is no ONNX model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises several unrelated types
        raise ModelNotFound(f"{path} is no model that ONNX Runtime opens: {str(error).splitlines()[0]}") from error


def score(
    model: Path,
    images: Images,
    rollout: bool = False,
    batch_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Outputs:
    """Probabilities, and maps on request, of uint8 images [N, H, W]."""
    session = open_model(model)
    names = ["probabilities"]
    if rollout and any(output.name == "rollout" for output in session.get_outputs()):
        names.append("rollout")
    parts = []
    for start in range(0, len(images), batch_size):
        parts.append(session.run(names, {"images": np.ascontiguousarray(images[start : start + batch_size])}))
        if progress:
            progress(min(start + batch_size, len(images)), len(images))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Outputs(columns[0], columns[1] if len(columns) > 1 else None)


def speed(model: Path, images: Images) -> tuple[float, float]:
    """(median milliseconds for one image, images a second in batches of 64) on this machine now."""
    session = open_model(model)
    one, many = np.ascontiguousarray(images[:1]), np.ascontiguousarray(images[:64])
    times = []
    for _ in range(LATENCY_RUNS):
        started = time.perf_counter()
        session.run(["probabilities"], {"images": one})
        times.append(time.perf_counter() - started)
    started = time.perf_counter()
    for _ in range(3):
        session.run(["probabilities"], {"images": many})
    return 1000 * float(np.median(times)), 3 * len(many) / (time.perf_counter() - started)
