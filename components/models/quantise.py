"""An exported graph in 8 bits: convolutions and linear layers, weights by channel, activations by calibrated ranges.

The ranges are fixed here, from images that the graph is shown, and not at run time from whatever shares a batch: an
image's answer does not depend on its neighbours (Jacob et al. 2018, arXiv 1712.05877).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

LAYERS = ["Conv", "MatMul", "Gemm"]
BATCH = 32

Images = npt.NDArray[np.uint8]


class _Shown(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Images in batches, until there are none."""

    def __init__(self, images: Images) -> None:
        self._batches: Iterator[Images] = (images[k : k + BATCH] for k in range(0, len(images), BATCH))

    def get_next(self) -> dict[str, Images] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def quantise(model: Path, images: Images) -> None:
    """Put an exported graph's 8-bit form in its place, whole or not at all.

    images: uint8 [N, H, W], 0-255, as the model will see; some hundreds are enough.
    """
    with TemporaryDirectory(dir=model.parent) as folder, _without_advice():
        prepared, small = Path(folder) / "prepared.onnx", Path(folder) / "small.onnx"
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared, small, _Shown(images), per_channel=True, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, op_types_to_quantize=LAYERS,
        )  # fmt: skip
        small.replace(model)


@contextmanager
def _without_advice() -> Iterator[None]:
    """ONNX Runtime warns, on the root logger, that one should do what has just been done."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
