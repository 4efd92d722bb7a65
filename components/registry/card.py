"""The model card (Mitchell et al. 2019), in Markdown, from records alone."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.dataset import DatasetInfo
from components.evaluation.records import Evaluation, Figures
from components.gate.records import Decision
from components.training.records import RunSummary

INTENDED = """\
The model names the expression that a frontal, cropped, gray face shows, as one of seven classes. It is meant for
research, teaching and comparing training methods on FER-2013 and datasets of its form.

It reads a picture of a face, not a person's feelings: people who feel alike look different, and people who look alike
feel different (Barrett et al. 2019). Nothing that matters to a person may rest on its answer.
"""

LAW = """\
Article 5(1)(f) of the EU AI Act (Regulation (EU) 2024/1689) prohibits placing on the market, putting into service for
this purpose, and using AI systems that infer emotions of a natural person **at the workplace and in education
institutions**, except for medical or safety reasons. Elsewhere in the EU, emotion recognition is high-risk (Annex III,
point 1(c)), and the people exposed to it must be told (Article 50(3)). This model must not be used to watch employees,
applicants, pupils or students.
"""

LIMITS = """\
- Labels come from annotators or from a drawing program, not from the people shown; on FER-2013, human accuracy is about
  65 % (Goodfellow et al. 2013), and some images are no faces at all.
- Classes are far from balanced; read the figures by class before the overall one.
- Age, gender, skin colour and culture are not annotated, so performance by group is unknown and probably unequal.
- Faces that are turned, covered, badly lit or cropped in another way are outside what was measured, the slices below
  apart.
- A probability is calibrated on data like the validation slice, and only there.
"""

LICENCES = {
    "synthetic": "The faces are drawn by ferline from random numbers: no person is shown, and no rights are attached.",
    "other": (
        "FER-2013 was collected from image searches and released for research with the challenges of the ICML 2013 "
        "workshop on representation learning; rights in the photographs stay with their holders. Weights trained on it "
        "are for research as well. Any other source is under its own terms: check them before use."
    ),
}


def write_card(
    path: Path,
    summary: RunSummary,
    recipe: str,
    dataset: DatasetInfo,
    evaluation: Evaluation,
    decision: Decision | None,
) -> None:
    """Write build_card's text."""
    path.write_text(build_card(summary, recipe, dataset, evaluation, decision), encoding="utf-8")


def build_card(
    summary: RunSummary, recipe: str, dataset: DatasetInfo, evaluation: Evaluation, decision: Decision | None
) -> str:
    """Markdown; recipe: the text of recipe.json."""
    sections = {
        "Intended use": INTENDED,
        "Where it must not be used": LAW,
        "Limits": LIMITS,
        "Data": _data(dataset),
        "Figures": _figures(evaluation),
        "By class": _classes(evaluation),
        "By slice": _slices(evaluation),
        "Behaviour": _behaviour(evaluation),
        "Gate": _gate(decision),
        "Training": _training(summary, evaluation),
        "Recipe": _table(("setting", "value"), _flat(json.loads(recipe))),
    }
    head = (
        f"# Model card: {summary.preset}\n\n{summary.model}, {summary.parameters:,} parameters; "
        f"reads uint8 faces of {summary.image_height}x{summary.image_width} pixels and answers probabilities of "
        f"{', '.join(dataset.classes)}{', with an attention-rollout map' if summary.has_rollout else ''}.\n"
    )
    return "\n".join([head, *(f"## {title}\n\n{text.strip()}\n" for title, text in sections.items())])


def final_section(evaluation: Evaluation) -> str:
    """Figures of a split that was opened once, as a further section."""
    return f"\n## Figures on {evaluation.split}\n\n{_figures(evaluation)}\n\n{_classes(evaluation)}\n"


def _data(dataset: DatasetInfo) -> str:
    origin = dataset.origin
    options = ", ".join(f"{name}={value}" for name, value in sorted(origin.options.items()))
    facts = (
        f"{dataset.images:,} images of {dataset.height}x{dataset.width} pixels, from `{origin.name}` ({origin.kind}"
        f"{'; ' + options if options else ''}); {len(origin.skipped)} skipped.\n\nFingerprint: `{dataset.fingerprint}`"
    )
    rows = [(split, *counts.values(), sum(counts.values())) for split, counts in dataset.counts.items()]
    licence = LICENCES["synthetic" if origin.kind == "synthetic" else "other"]
    return f"{facts}\n\n{_table(('split', *dataset.classes, 'total'), rows)}\n\n{licence}"


def _figures(evaluation: Evaluation) -> str:
    parts = [("all images", evaluation.figures)]
    if evaluation.without_twins:
        parts.append(("without twins in training", evaluation.without_twins))
    return (
        f"On {evaluation.split}, with 95 % bootstrap intervals; {evaluation.twins} of its images have a twin in "
        f"training. Test digest `{evaluation.test_digest[:16]}`.\n\n{_figures_table('images', parts)}\n\n"
        f"Calibration error (ECE): {evaluation.ece:.3f}, {evaluation.ece_uncalibrated:.3f} before the temperature of "
        f"{evaluation.temperature:.3f}. On the machine that evaluated it: {evaluation.latency_ms:.1f} ms for one "
        f"image, {evaluation.images_per_second:.0f} images a second."
    )


def _classes(evaluation: Evaluation) -> str:
    rows = [(c.name, f"{c.precision:.3f}", f"{c.recall:.3f}", f"{c.f1:.3f}", c.support) for c in evaluation.per_class]
    return _table(("class", "precision", "recall", "F1", "n"), rows)


def _slices(evaluation: Evaluation) -> str:
    if not evaluation.slices:
        return "None measured."
    return _figures_table("slice", [(part.name, part.figures) for part in evaluation.slices])


def _behaviour(evaluation: Evaluation) -> str:
    if not evaluation.behaviour:
        return "None measured."
    rows = [(part.name, f"{100 * part.kept_share:.1f} %", part.n) for part in evaluation.behaviour]
    return "Share of images whose class stays under a change:\n\n" + _table(("change", "kept", "n"), rows)


def _gate(decision: Decision | None) -> str:
    if decision is None:
        return "Not judged yet when this card was written; the ledger tells what became of it."
    against = f"against {decision.champion.name}" if decision.champion else "without a champion to compare with"
    rows = [
        (rule.rule, f"{rule.figure:.4g}", f"{rule.threshold:.4g}", "passed" if rule.passed else "**failed**")
        for rule in decision.rules
    ]
    return (
        f"Verdict of {decision.decided_at}: **{decision.verdict}**, {against}.\n\n"
        f"{_table(('rule', 'figure', 'threshold', 'verdict'), rows)}"
    )


def _training(summary: RunSummary, evaluation: Evaluation) -> str:
    rows = [
        ("images, after balancing", f"{summary.train_images:,}"),
        ("validation images", f"{summary.validation_images:,}"),
        ("epochs (best)", f"{summary.epochs} ({summary.best_epoch})"),
        ("validation accuracy", f"{summary.validation_accuracy:.3f}"),
        ("validation macro-F1", f"{summary.validation_macro_f1:.3f}"),
        ("device", f"{summary.device} ({summary.device_reason})"),
        ("time", f"{summary.seconds / 60:.1f} minutes, {summary.images_per_second:.0f} images a second"),
        ("peak memory", f"{summary.peak_memory_mb:,.0f} MB"),
        ("energy", _energy(summary)),
        *_pretraining(summary),
        ("sha256 of model.onnx", f"`{summary.model_sha256}`"),
    ]
    return _table(("", ""), rows)


def _pretraining(summary: RunSummary) -> list[tuple[str, str]]:
    """What came before the epochs with labels, where anything did."""
    if not summary.pretraining_seconds:
        return []
    known = summary.pretraining_energy_wh
    energy = "energy not measured" if known is None else f"{known:,.2f} Wh"
    return [("masked pretraining before it", f"{summary.pretraining_seconds / 60:.1f} minutes, {energy}")]


def _energy(summary: RunSummary) -> str:
    known = "" if summary.energy_wh is None else f"{summary.energy_wh:,.2f} Wh, "
    return f"{known}{summary.energy_source}"


def _figures_table(first: str, parts: Sequence[tuple[str, Figures]]) -> str:
    head = (first, "n", "accuracy", "macro-F1", "weighted F1")
    return _table(head, [(name, f.n, _accuracy(f), _macro_f1(f), f"{f.weighted_f1:.3f}") for name, f in parts])


def _accuracy(figures: Figures) -> str:
    interval = figures.accuracy_interval
    return f"{figures.accuracy:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _macro_f1(figures: Figures) -> str:
    interval = figures.macro_f1_interval
    return f"{figures.macro_f1:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Nested mapping -> dotted names."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _table(head: Sequence[str], rows: Sequence[Sequence[object]] | Iterator[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
