"""The paper's Table 1 (models side by side) and Table 2 (class by class) as Markdown.

The paper's own figures stand beside ours only where the data is FER-2013: M. Di Iorio, "Emotion Recognition Using Vision
Transformers", Table 1, networks pretrained on ImageNet.
"""

from collections.abc import Mapping, Sequence

from components.evaluation.records import Evaluation, Interval

PAPER_ACCURACY: Mapping[str, float] = {"vit": 0.6402, "compact-vit": 0.6402, "resnet18": 0.4473, "vgg16": 0.3387}
"""Network -> reported test accuracy; our compact-vit stands in the row of the paper's ViT-B/16."""


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _with(share: float, interval: Interval) -> str:
    return f"{_percent(share)} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def table_1(evaluations: Sequence[Evaluation], networks: Mapping[str, str] | None = None) -> str:
    """Models side by side; networks: model name -> network, given where the data is FER-2013, adds the paper's column."""
    paper = " paper (pretrained) |" if networks else ""
    first = evaluations[0]
    lines = [
        f"{first.split}, n = {first.figures.n}, 95 % bootstrap intervals; {first.twins} images have a twin in Training.",
        "",
        f"| model | accuracy |{paper} macro-F1 | weighted F1 | accuracy without twins | macro-F1 without twins | test loss | ECE |",
        "|---|---|" + ("---|" if networks else "") + "---|---|---|---|---|---|",
    ]
    for e in evaluations:
        f, w = e.figures, e.without_twins
        reported = f" {_percent(PAPER_ACCURACY[networks[e.model]])} |" if networks else ""
        lines.append(
            f"| {e.model} | {_with(f.accuracy, f.accuracy_interval)} |{reported} {_with(f.macro_f1, f.macro_f1_interval)} "
            f"| {_percent(f.weighted_f1)} | {_percent(w.accuracy) if w else 'none'} | {_percent(w.macro_f1) if w else 'none'} "
            f"| {f.nll:.3f} | {e.ece:.3f} |"
        )
    return "\n".join(lines)


def table_2(evaluation: Evaluation) -> str:
    """One model class by class."""
    lines = [
        f"{evaluation.model} on {evaluation.split}, n = {evaluation.figures.n}.",
        "",
        "| class | precision | recall | F1 | images |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {c.name} | {_percent(c.precision)} | {_percent(c.recall)} | {_percent(c.f1)} | {c.support} |"
        for c in evaluation.per_class
    ]
    return "\n".join(lines)
