"""Weights in fewer bits: `python -m benchmarks.precision DATASET [--model model.onnx] [--images 3589] [--save]`.

The champion of FERLINE_HOME (or any exported model) as it is, with linear layers in int8 by ranges of the moment, with
all layers in int8 (`int8=true`, calibrated on 256 Training images), and with weights and sums in fp16. Each answers
PublicTest: accuracy and macro-F1 with intervals, how often it says the same as fp32, milliseconds of processor time an
image alone and in batches of 64, on one thread; then fp32 on every number of threads.
"""

import argparse
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from benchmarks.record import machine, save
from components.dataset import Dataset, open_dataset
from components.evaluation.bootstrap import intervals
from components.labels import PUBLIC_TEST, TRAINING
from components.models.quantise import quantise
from components.registry import Registry
from components.settings import load_settings

LINEAR, CALIBRATION = ["MatMul", "Gemm"], 256


@dataclass(frozen=True)
class Measured:
    """One form of the model."""

    name: str
    megabytes: float
    alone_ms: float
    batched_ms: float
    answers: np.ndarray


def main() -> None:
    """Print and, on demand, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="folder of a dataset version")
    parser.add_argument("--model", type=Path, help="an exported model; the champion by default")
    parser.add_argument("--images", type=int, default=10**9, help="of PublicTest, drawn at random")
    parser.add_argument("--save", action="store_true", help="append to results/precision.csv")
    options = parser.parse_args()
    dataset = open_dataset(options.dataset)
    with tempfile.TemporaryDirectory() as folder:
        source = options.model or champion(Path(folder))
        forms = forms_of(source, dataset, Path(folder))
        rows, labels = choose(dataset, options.images)
        images = np.array(dataset.images[rows])
        found = [measure(name, path, images) for name, path in forms.items()]
        threads = {n: batch_ms(source, images, n) for n in range(1, (os.cpu_count() or 1) + 1)}
    lines = [line(each, found[0], labels) for each in found]
    for text in lines:
        print(" | ".join(text))
    for n, milliseconds in threads.items():
        print(f"fp32 on {n} thread(s): {milliseconds:.2f} ms an image of time in batches of 64")
    print(f"n = {len(labels)}; machine: {machine()}")
    if options.save:
        head = ["form", "size", "alone", "batched", "speed", "accuracy", "macro_f1", "agreement", "n"]
        save("precision", head, [[*each, len(labels)] for each in lines])


def champion(folder: Path) -> Path:
    """model.onnx of the champion."""
    s = load_settings()
    registry = Registry(s.mlflow_uri, s.root / "mlflow-artifacts", s.model_name)
    return registry.download(registry.get("champion").version, folder / "champion") / "model.onnx"


def choose(dataset: Dataset, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of PublicTest, and their labels; rows are sorted by label, so a part is drawn."""
    rows = dataset.rows(PUBLIC_TEST)
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:images])
    return rows, dataset.labels[rows]


def forms_of(source: Path, dataset: Dataset, folder: Path) -> dict[str, Path]:
    """The model as it is and in fewer bits."""
    prepared, dynamic, static, half = (folder / f"{name}.onnx" for name in ("prepared", "dynamic", "static", "half"))
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_dynamic(prepared, dynamic, weight_type=QuantType.QInt8, op_types_to_quantize=LINEAR)
    rows = np.random.default_rng(0).permutation(dataset.rows(TRAINING))[:CALIBRATION]
    shutil.copy(source, static)
    quantise(static, np.array(dataset.images[np.sort(rows)]))
    onnx.save(convert_float_to_float16(onnx.load(prepared), keep_io_types=True), half)
    return {"fp32": source, "int8, linear layers": dynamic, "int8, all layers": static, "fp16": half}


def session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    return onnxruntime.InferenceSession(path, options)


def measure(name: str, path: Path, images: np.ndarray) -> Measured:
    """Answers, size and speed of one form."""
    opened = session(path, 1)
    batches = np.array_split(images, -(-len(images) // 64))
    for batch in (images[:1], batches[0]):
        opened.run(None, {"images": batch})
    start = time.process_time()
    answers = [opened.run(["probabilities"], {"images": batch})[0].argmax(1) for batch in batches]
    batched = (time.process_time() - start) / len(images)
    start = time.process_time()
    for k in range(100):
        opened.run(None, {"images": images[k : k + 1]})
    alone = (time.process_time() - start) / 100
    return Measured(name, path.stat().st_size / 1e6, 1000 * alone, 1000 * batched, np.concatenate(answers))


def batch_ms(path: Path, images: np.ndarray, threads: int) -> float:
    """Time of one image in batches of 64."""
    opened, batch = session(path, threads), images[:64]
    opened.run(None, {"images": batch})
    start = time.perf_counter()
    for _ in range(20):
        opened.run(None, {"images": batch})
    return 1000 * (time.perf_counter() - start) / 20 / len(batch)


def line(form: Measured, fp32: Measured, labels: np.ndarray) -> list[str]:
    """A row of the table."""
    accuracy, macro_f1 = intervals(labels, form.answers)
    right = (form.answers == labels).mean()
    return [
        form.name, f"{form.megabytes:.1f} MB", f"{form.alone_ms:.2f} ms alone", f"{form.batched_ms:.2f} ms in 64",
        f"{fp32.batched_ms / form.batched_ms:.2f} times as fast",
        f"accuracy {100 * right:.1f} % ({100 * accuracy.low:.1f} to {100 * accuracy.high:.1f})",
        f"macro-F1 ({100 * macro_f1.low:.1f} to {100 * macro_f1.high:.1f})",
        f"agrees {100 * (form.answers == fp32.answers).mean():.1f} %",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
