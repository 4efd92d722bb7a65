"""One model on one split: every figure, its predictions and its pictures, in a folder."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pandas as pd

from components.dataset import Dataset
from components.errors import DataError
from components.evaluation.behaviour import CHANGES, behaviour, spread
from components.evaluation.calibration import expected_calibration_error, reliability, uncalibrated
from components.evaluation.digest import images_digest
from components.evaluation.metrics import by_class, confusion, figures
from components.evaluation.records import Evaluation, SliceFigures
from components.evaluation.scoring import Images, Progress, answer, open_model, speed
from components.evaluation.slices import has_twin, slice_masks
from components.labels import CLASSES

RECORD, PREDICTIONS = "evaluation.json", "predictions.parquet"
CONFUSION, RELIABILITY = "confusion.png", "reliability.png"


@dataclass(frozen=True)
class Answered:
    """The images of a split and what the model says to them."""

    rows: npt.NDArray[np.int64]
    """int64 [N], rows of the dataset."""
    images: Images
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    """float32 [N, 7]."""

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        """int64 [N], most probable classes."""
        classes: npt.NDArray[np.int64] = self.probabilities.argmax(1).astype(np.int64)
        return classes


def evaluate(
    model: Path,
    dataset: Dataset,
    split: str,
    out: Path,
    name: str,
    temperature: float,
    progress: Progress | None = None,
) -> Evaluation:
    """Score model.onnx on a split; `out` appears whole: evaluation.json, predictions.parquet and two pictures.

    temperature: the one inside the graph, needed for the calibration error before it.
    Raises DataError for an unknown split, images of another size than the model's or an `out` that is there already,
    ModelNotFound for no model.
    """
    if out.exists():
        raise DataError(f"{out} is there already: name another folder for the evaluation.")
    rows = dataset.rows(split)
    images, labels = np.asarray(dataset.images[rows]), dataset.labels[rows]
    session = open_model(model)
    counter = _Counter(progress, len(rows) + len(CHANGES) * len(spread(len(rows))))
    probabilities = answer(session, images, progress=counter).probabilities
    answered = Answered(rows, images, labels, probabilities)
    evaluation = _evaluation(session, dataset, split, name, temperature, answered, counter)
    _write(out, evaluation, dataset, answered)
    return evaluation


class _Counter:
    """Joins the progress of several passes over images into one."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.before = progress, total, 0

    def __call__(self, done: int, of: int) -> None:
        if self.progress:
            self.progress(self.before + done, self.total)
        if done == of:
            self.before += of


def _evaluation(
    session: onnxruntime.InferenceSession,
    dataset: Dataset,
    split: str,
    name: str,
    temperature: float,
    answered: Answered,
    counter: _Counter,
) -> Evaluation:
    labels, probabilities = answered.labels, answered.probabilities
    twin, masks = has_twin(dataset, answered.rows), slice_masks(dataset, answered.rows)
    timed = speed(session, answered.images)
    changed = behaviour(
        lambda images: answer(session, images, progress=counter).probabilities.argmax(1).astype(np.int64),
        answered.images,
        answered.answers,
    )
    return Evaluation(
        model=name,
        split=split,
        test_digest=images_digest(dataset.manifest.loc[answered.rows]),
        dataset_fingerprint=dataset.info.fingerprint,
        figures=figures(probabilities, labels),
        without_twins=figures(probabilities[~twin], labels[~twin]) if (~twin).any() else None,
        twins=int(twin.sum()),
        per_class=by_class(labels, answered.answers),
        confusion=tuple(tuple(row) for row in confusion(labels, answered.answers).tolist()),
        ece=expected_calibration_error(probabilities, labels),
        ece_uncalibrated=expected_calibration_error(uncalibrated(probabilities, temperature), labels),
        temperature=temperature,
        slices=tuple(SliceFigures(part, figures(probabilities[mask], labels[mask])) for part, mask in masks.items()),
        behaviour=changed,
        latency_ms=timed.latency_ms,
        images_per_second=timed.images_per_second,
    )


def _write(out: Path, evaluation: Evaluation, dataset: Dataset, answered: Answered) -> None:
    """Everything into a temporary folder beside `out`, then one rename."""
    from components.evaluation.figures import confusion_png, reliability_png  # matplotlib: 0.5 s

    title = f"{evaluation.model} on {evaluation.split}, n = {evaluation.figures.n}"
    bins = reliability(answered.probabilities, answered.labels)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        _predictions(dataset, answered).to_parquet(folder / PREDICTIONS, index=False)
        (folder / CONFUSION).write_bytes(confusion_png(evaluation.confusion, title))
        (folder / RELIABILITY).write_bytes(reliability_png(bins, title))
        (folder / RECORD).write_text(evaluation.to_json())
        folder.chmod(0o755)  # mkdtemp makes it 0o700
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _predictions(dataset: Dataset, answered: Answered) -> pd.DataFrame:
    """id, label and p_<class>, in the order of the split."""
    frame = dataset.manifest.loc[answered.rows, ["id", "label"]].reset_index(drop=True)
    return frame.assign(**{f"p_{name}": answered.probabilities[:, i] for i, name in enumerate(CLASSES)})
