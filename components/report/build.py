"""The run's report: one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import numpy.typing as npt
import pandas as pd
from markupsafe import Markup

from components.balancing.records import Sample, Selection
from components.dataset import Dataset
from components.evaluation.records import Evaluation, Interval
from components.evaluation.scoring import score
from components.gate.records import Decision
from components.labels import CLASSES, SPLITS, TEST_SPLITS, TRAINING
from components.report import pictures
from components.report.sheet import contact_sheet
from components.training.records import RunSummary
from components.validation.records import ValidationReport

FACES_A_CLASS = 24
SECTIONS = (
    ("data", "Faces"), ("balance", "Balancing"), ("validation", "Validation"), ("training", "Training"),
    ("figures", "Figures"), ("rollout", "Rollout"), ("gate", "Gate"), ("origin", "Origin"),
)  # fmt: skip
LEFT_OUT = {
    "leaked": "also stand in a test split",
    "near_leaked": "nearly equal a test image",
    "conflicts": "are identical but disagree about the label",
    "copies": "are further copies",
    "excluded": "stand in the recipe's exclusion list",
}


@dataclass(frozen=True)
class ModelRun:
    """One trained and evaluated model of the run."""

    name: str
    summary: RunSummary
    epochs: Sequence[Mapping[str, float]]
    """Lines of metrics.jsonl."""
    evaluation: Evaluation
    predictions: pd.DataFrame
    """id, label and p_<class> columns, test images in order."""
    model: Path
    """model.onnx."""


@dataclass(frozen=True)
class RunRecord:
    """Everything the report tells."""

    title: str
    verdict: str
    """One sentence on how the run ended."""
    written: str
    """ISO time, UTC."""
    dataset: Dataset
    validation: ValidationReport
    selection: Selection
    sample: Sample
    runs: Sequence[ModelRun]
    """Best first."""
    decision: Decision | None
    champion: str
    """Version of the champion after the run; empty for none."""
    provenance: Mapping[str, str]


def write_report(record: RunRecord, path: Path) -> None:
    """Write the page to `path`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=jinja2.select_autoescape(), trim_blocks=True
    )
    before = np.bincount(record.dataset.labels[record.dataset.rows(TRAINING)], minlength=len(CLASSES))
    drawn = np.bincount(record.dataset.labels[record.sample.train], record.sample.weights, len(CLASSES))
    after = drawn.round().astype(np.int64)  # whole but for the sampler, whose draws are expected ones
    counts, validation = record.dataset.info.counts, record.validation
    attentive = next((run for run in record.runs if run.summary.has_rollout), None)
    page = environment.get_template("report.html").render(
        **{
            name: getattr(record, name) for name in ("title", "verdict", "written", "dataset", "validation", "champion")
        },
        sections=SECTIONS,
        runs=record.runs,
        best=record.runs[0],
        decision=record.decision,
        provenance=list(record.provenance.items()),
        splits=[(split, sum(counts[split].values())) for split in SPLITS if split in counts],
        sheets=[
            (name, n, _sheet(record.dataset, label))
            for label, (name, n) in enumerate(zip(CLASSES, before, strict=True))
        ],
        left_out=[(LEFT_OUT[reason], len(rows)) for reason, rows in record.selection.removed.items() if len(rows)],
        set_aside=len(record.sample.validation),
        leaked=[(s, validation.leaked.get(s, 0), validation.near_leaked.get(s, 0)) for s in TEST_SPLITS if s in counts],
        failed=[finding for finding in validation.findings if not finding.passed],
        passed=[finding for finding in validation.findings if finding.passed],
        balance=list(zip(CLASSES, before.tolist(), after.tolist(), strict=True)),
        most=max(int(before.max()), int(after.max())),
        curves=[Markup(svg) for svg in pictures.curves({run.name: run.epochs for run in record.runs})],
        maps=_maps(record.dataset, attentive) if attentive else [],
        map_model=attentive.name if attentive else "",
        pct=lambda share: f"{100 * share:.1f}\u00a0%",
        interval=_interval,
    )
    path.write_text(page, encoding="utf-8")


def _interval(interval: Interval) -> str:
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}\u00a0%"


def _sheet(dataset: Dataset, label: int) -> str:
    """The first faces of a class in content order, which is a random one."""
    rows = dataset.rows(TRAINING)
    rows = rows[dataset.labels[rows] == label][:FACES_A_CLASS]
    return pictures.png(contact_sheet(np.asarray(dataset.images[rows]), None, columns=6, scale=1))


def _maps(dataset: Dataset, run: ModelRun) -> list[tuple[str, str, str, str, float]]:
    """(face, overlay, truth, answer, its probability): the most confident right and wrong answer a class."""
    rows = dataset.rows(run.evaluation.split)
    probabilities = run.predictions[[f"p_{name}" for name in CLASSES]].to_numpy()
    chosen = _examples(dataset.labels[rows], probabilities)
    faces = np.asarray(dataset.images[rows[chosen]])
    heat = score(run.model, faces, rollout=True).rollout
    assert heat is not None
    return [
        (pictures.png(pictures.overlay(face, np.zeros_like(h))), pictures.png(pictures.overlay(face, h)),
         CLASSES[dataset.labels[row]], CLASSES[p.argmax()], float(p.max()))
        for face, h, row, p in zip(faces, heat, rows[chosen], probabilities[chosen], strict=True)
    ]  # fmt: skip


def _examples(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    answers, confidence = probabilities.argmax(1), probabilities.max(1)
    chosen = []
    for label in range(len(CLASSES)):
        for hit in (answers == labels, answers != labels):
            found = np.flatnonzero(hit & (labels == label))
            if len(found):
                chosen.append(found[confidence[found].argmax()])
    return np.array(chosen, dtype=np.int64)
