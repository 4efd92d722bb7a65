"""Models side by side, and one model class by class, as Markdown.

The paper's own accuracies stand below ours only where the data is FER-2013: M. Di Iorio, "Emotion Recognition Using
Vision Transformers".
"""

from collections.abc import Mapping, Sequence

from components.evaluation.records import ClassFigures, Evaluation, Figures, Interval
from components.labels import PRIVATE_TEST, PUBLIC_TEST

PAPER_ACCURACY: Mapping[str, float] = {
    "ViT-B/16, pretrained on ImageNet-21k": 0.6402,
    "ResNet-18": 0.4473,
    "VGG-16": 0.3387,
}
"""The paper's networks and their reported test accuracies."""

FER2013_SUPPORTS: Mapping[str, tuple[int, ...]] = {
    PUBLIC_TEST: (467, 56, 496, 895, 653, 415, 607),
    PRIVATE_TEST: (491, 55, 528, 879, 594, 416, 626),
}
"""Images by class, in the order of CLASSES, of FER-2013's test splits: this is how a table knows them."""


def is_fer2013(evaluation: Evaluation) -> bool:
    """Whether the figures were taken on a whole test split of FER-2013."""
    return FER2013_SUPPORTS.get(evaluation.split) == tuple(c.support for c in evaluation.per_class)


def models_table(evaluations: Sequence[Evaluation], networks: Mapping[str, str] | None = None) -> str:
    """Models side by side, scored on one split; a line of n and intervals above.

    networks: model name -> what it is in words, such as "ResNet-18, from scratch"; adds a column.
    """
    head = ["model", *(["network"] if networks is not None else []), "accuracy", "macro-F1", "macro precision",
            "macro recall", "weighted F1", "accuracy without twins", "macro-F1 without twins", "test loss",
            "ECE"]  # fmt: skip
    rows = [_model(e, networks) for e in evaluations]
    if all(map(is_fer2013, evaluations)):
        blanks = [""] * (len(head) - 3 + (networks is None))
        for network, accuracy in PAPER_ACCURACY.items():
            names = ["*paper*", network] if networks is not None else [f"*paper: {network}*"]
            rows.append([*names, _percent(accuracy), *blanks])
    return f"{_caption(evaluations)}\n\n{markdown(head, rows)}"


def classes_table(evaluation: Evaluation) -> str:
    """One model class by class, with the averages below."""
    f = evaluation.figures
    rows = [[c.name, _percent(c.precision), _percent(c.recall), _percent(c.f1), str(c.support)]
            for c in evaluation.per_class]  # fmt: skip
    over_images = _means(evaluation.per_class, [c.support for c in evaluation.per_class])
    rows.append(["**mean over classes**", *map(_percent, macro(evaluation)), str(f.n)])
    rows.append(["**mean over images**", *map(_percent, over_images), str(f.n)])
    caption = (
        f"{evaluation.model} on {evaluation.split}, n = {f.n}: accuracy {_with(f.accuracy, f.accuracy_interval)}, "
        f"macro-F1 {_with(f.macro_f1, f.macro_f1_interval)}, 95 % bootstrap intervals."
    )
    return f"{caption}\n\n{markdown(['class', 'precision', 'recall', 'F1', 'images'], rows)}"


def macro(evaluation: Evaluation) -> tuple[float, float, float]:
    """Mean precision, recall and F1 over the classes that the images bear; shares 0 to 1."""
    return _means(evaluation.per_class, [int(c.support > 0) for c in evaluation.per_class])


def _caption(evaluations: Sequence[Evaluation]) -> str:
    first = evaluations[0]
    text = (
        f"{first.split}, n = {first.figures.n}, with 95 % bootstrap intervals. "
        f'{first.twins} of these images have an identical or nearly identical one in Training; "without twins" leaves '
        f"them out (n = {first.figures.n - first.twins}). Test loss: mean -log p of the true class, calibrated, nats."
    )
    if all(map(is_fer2013, evaluations)):
        text += " The paper's accuracies are its own, on its test split, given without intervals."
    return text


def _model(e: Evaluation, networks: Mapping[str, str] | None) -> list[str]:
    f, w = e.figures, e.without_twins
    named = [networks.get(e.model, "")] if networks is not None else []
    return [
        e.model, *named, *_accuracy_and_macro(f), *map(_percent, macro(e)[:2]), _percent(f.weighted_f1),
        *(_accuracy_and_macro(w) if w else ("", "")), f"{f.nll:.3f}", f"{e.ece:.3f}",
    ]  # fmt: skip


def _accuracy_and_macro(f: Figures) -> tuple[str, str]:
    return _with(f.accuracy, f.accuracy_interval), _with(f.macro_f1, f.macro_f1_interval)


def _means(classes: Sequence[ClassFigures], weights: Sequence[int]) -> tuple[float, float, float]:
    """Precision, recall and F1."""
    precision, recall, f1 = (
        sum(x * w for x, w in zip(column, weights, strict=True)) / sum(weights)
        for column in zip(*((c.precision, c.recall, c.f1) for c in classes), strict=True)
    )
    return precision, recall, f1


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _with(share: float, interval: Interval) -> str:
    return f"{_percent(share)} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of a head and its rows."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
