"""Ask an exported model: ONNX Runtime on the CPU, no torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.errors import RegistryError

BATCH = 64


@dataclass(frozen=True)
class Answers:
    """What a model says to N images."""

    probabilities: npt.NDArray[np.float32]
    """float32 [N, 7], rows sum to 1."""
    embedding: npt.NDArray[np.float32]
    """float32 [N, D]."""
    outputs: tuple[str, ...]
    """Names of the graph's outputs."""


def ask(model: Path, images: npt.NDArray[np.uint8]) -> Answers:
    """images: uint8 [N, H, W], 0-255. Raises RegistryError for a graph that does not load or has other ends."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        outputs = tuple(output.name for output in session.get_outputs())
        parts = [session.run(["probabilities", "embedding"], {"images": part}) for part in _batches(images)]
    except Exception as error:  # onnxruntime raises a dozen unrelated types
        raise RegistryError(f"{model} does not answer: {str(error).splitlines()[0][:300]}") from error
    return Answers(
        probabilities=np.concatenate([part[0] for part in parts]),
        embedding=np.concatenate([part[1] for part in parts]),
        outputs=outputs,
    )


def _batches(images: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    for start in range(0, len(images), BATCH):
        yield np.ascontiguousarray(images[start : start + BATCH])
