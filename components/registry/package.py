"""Put together what gets registered: examples, drift reference, model card, and the files of run and evaluation."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.balancing.records import Sample
from components.dataset import Dataset
from components.evaluation.records import Evaluation
from components.gate.records import Decision
from components.labels import CLASSES, PUBLIC_TEST
from components.registry.answer import ask
from components.registry.card import write_card
from components.registry.records import ModelPackage
from components.training.records import RunSummary

EXAMPLES = 8
REFERENCE_ROWS = 5000
LEAST_NEW = 100

Rows = npt.NDArray[np.int64]


def build_package(
    run: Path,
    evaluation: Path,
    dataset: Dataset,
    out: Path,
    decision: Decision | None = None,
    new_data: Dataset | None = None,
) -> ModelPackage:
    """Package of a finished training run.

    run: run folder (components/training); evaluation: evaluation folder; out: folder for what is made here.
    new_data: of a retraining, the images that were held back. They are what the model is to expect from now on, and
    where they are 100 or more, drift is measured against them: against the old images it would never end.
    Raises RegistryError where model.onnx does not answer.
    """
    out.mkdir(parents=True, exist_ok=True)
    summary = RunSummary.from_json((run / "summary.json").read_text())
    judged = Evaluation.from_json((evaluation / "evaluation.json").read_text())
    sample = Sample.load(run / "sample.npz")
    _build_examples(run / "model.onnx", dataset, sample.validation, out / "examples.npz")
    rows = reference_rows(sample, dataset)
    answers = ask(run / "model.onnx", dataset.images[rows])
    held_out = np.isin(rows, sample.validation)
    if new_data is not None and new_data.info.images >= LEAST_NEW:
        fresh, every = ask(run / "model.onnx", np.asarray(new_data.images)), np.arange(new_data.info.images)
        build_reference(new_data, every, fresh.probabilities, fresh.embedding, out / "reference.parquet")
    else:
        build_reference(dataset, rows, answers.probabilities, answers.embedding, out / "reference.parquet")
    recipe = (run / "recipe.json").read_text()
    write_card(out / "model_card.md", summary, recipe, dataset.info, judged, decision)
    if decision:
        (out / "decision.json").write_text(decision.to_json())
    return ModelPackage(
        preset=summary.preset,
        model=run / "model.onnx",
        weights=run / "model.safetensors",
        recipe=run / "recipe.json",
        summary=run / "summary.json",
        examples=out / "examples.npz",
        reference=out / "reference.parquet",
        evaluation=evaluation / "evaluation.json",
        card=out / "model_card.md",
        fingerprint=summary.fingerprint,
        temperature=summary.temperature,
        metrics=headline(judged),
        uncertain_below=uncertainty_threshold(answers.probabilities[held_out], dataset.labels[rows[held_out]]),
        decision=out / "decision.json" if decision else None,
    )


def headline(evaluation: Evaluation) -> dict[str, float]:
    """The figures shown beside a version, on the evaluation's split."""
    figures = evaluation.figures
    return {
        "accuracy": figures.accuracy,
        "macro_f1": figures.macro_f1,
        "weighted_f1": figures.weighted_f1,
        "nll": figures.nll,
        "ece": evaluation.ece,
        "latency_ms": evaluation.latency_ms,
    }


def uncertainty_threshold(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """The largest confidence at and below which fewer than half of the answers are right; 0 where there is none.

    probabilities: float32 [V, 7] of validation images; labels: int64 [V].
    """
    confidence = probabilities.max(1)
    levels, level = np.unique(confidence, return_inverse=True)  # equal confidences stand or fall together
    images = np.cumsum(np.bincount(level))
    right = np.cumsum(np.bincount(level, probabilities.argmax(1) == labels))
    mostly_wrong = levels[2 * right < images]
    return float(mostly_wrong.max(initial=0.0))


def write_examples(images: npt.NDArray[np.uint8], probabilities: npt.NDArray[np.float32], path: Path) -> None:
    """images: uint8 [N, H, W]; probabilities: float32 [N, 7], what the model must answer to them."""
    with path.open("wb") as stream:
        np.savez(stream, images=images, probabilities=probabilities)


def reference_rows(sample: Sample, dataset: Dataset) -> Rows:
    """Up to 5,000 ascending rows: the validation slice first, evenly chosen images of PublicTest after it.

    None that the model has learned from: to those it answers with more confidence than to anything that will come.
    """
    tests = dataset.rows(PUBLIC_TEST)
    wanted = max(0, REFERENCE_ROWS - len(sample.validation))
    return np.sort(np.concatenate([evenly(sample.validation, REFERENCE_ROWS), evenly(tests, wanted)]))


def build_reference(
    dataset: Dataset,
    rows: Rows,
    probabilities: npt.NDArray[np.float32],
    embedding: npt.NDArray[np.float32],
    path: Path,
) -> None:
    """Write what drift is measured against: an image a row, with its statistics, probabilities and embedding.

    rows: int64 [n]; probabilities: float32 [n, 7]; embedding: float32 [n, D]. Columns: id, label, split, brightness,
    contrast, sharpness, predicted, confidence, p_<class>, e_000 ... Of more than 5,000 rows an even choice is written.
    """
    chosen = evenly(np.arange(len(rows)), REFERENCE_ROWS)
    kept = probabilities[chosen].astype(np.float32)
    manifest = dataset.manifest.iloc[rows[chosen]][["id", "label", "split", "brightness", "contrast", "sharpness"]]
    parts = [
        manifest.reset_index(drop=True),
        pd.DataFrame({"predicted": kept.argmax(1).astype(np.int8), "confidence": kept.max(1)}),
        pd.DataFrame(kept, columns=[f"p_{name}" for name in CLASSES]),
        pd.DataFrame(embedding[chosen].astype(np.float32), columns=[f"e_{i:03d}" for i in range(embedding.shape[1])]),
    ]
    pd.concat(parts, axis=1).to_parquet(path, index=False)


def _build_examples(model: Path, dataset: Dataset, rows: Rows, path: Path) -> None:
    """One image a class, as far as `rows` go, filled up to eight."""
    _, first = np.unique(dataset.labels[rows], return_index=True)
    chosen = np.concatenate([rows[first], np.setdiff1d(rows, rows[first])])[:EXAMPLES]
    images = np.ascontiguousarray(dataset.images[chosen])
    write_examples(images, ask(model, images).probabilities, path)


def evenly(rows: Rows, most: int) -> Rows:
    """At most so many, evenly spaced."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]
