"""How an exported model holds up in worse pictures, and whether it serves every class and group of people alike.

Only PublicTest is looked at: PrivateTest is not worn out for this.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.dataset import Dataset
from components.errors import DataError
from components.evaluation.behaviour import Images, Labels
from components.evaluation.bootstrap import accuracy_of, loss_intervals, macro_f1_of, mean_interval, paired_difference
from components.evaluation.corruptions import CORRUPTIONS, SEED
from components.evaluation.digest import images_digest
from components.evaluation.metrics import by_class, confusion, figures
from components.evaluation.records import Figures, Interval
from components.evaluation.scoring import Floats, Progress, answer, open_model
from components.evaluation.tables import markdown
from components.labels import PUBLIC_TEST

LEAST_OF_A_GROUP = 30
"""Smaller groups are shown and not judged: their intervals span most of what there is."""
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Gap:
    """The best and the worst of several parts, by recall or accuracy, 0 to 1."""

    best: str
    best_share: float
    worst: str
    worst_share: float
    size: float
    """Best less worst."""


@dataclass(frozen=True)
class StrengthFigures:
    """All images under one corruption at one strength; lost: clean less corrupted, with paired 95 % intervals."""

    strength: float
    accuracy: float
    accuracy_lost: float
    accuracy_lost_interval: Interval
    macro_f1: float
    macro_f1_lost: float
    macro_f1_lost_interval: Interval


@dataclass(frozen=True)
class CorruptionFigures:
    """One corruption, weakest strength first."""

    name: str
    unit: str
    strengths: tuple[StrengthFigures, ...]
    recall: Gap
    """Between classes, at the strongest."""


@dataclass(frozen=True)
class GroupFigures:
    """A group of people, on clean images."""

    name: str
    figures: Figures
    judged: bool
    """False below 30 images: such a group takes no part in the largest gap."""


@dataclass(frozen=True)
class Groups:
    """What the user's group labels show."""

    groups: tuple[GroupFigures, ...]
    """Largest first."""
    unlabelled: int
    """Images of the split that no label names."""
    gap: Gap | None
    """Of accuracy, between judged groups; None where fewer than two are judged."""
    gap_interval: Interval | None
    """Each of the two resampled by itself; a little narrow, since the figures themselves chose them."""


@dataclass(frozen=True)
class Robustness:
    """robustness.json: one model on PublicTest, clean and corrupted."""

    model: str
    split: str
    test_digest: str
    """As in evaluation.json."""
    dataset_fingerprint: str
    clean: Figures
    recall: Gap
    """Between classes, on clean images."""
    corruptions: tuple[CorruptionFigures, ...]
    groups: Groups | None
    """None where no group labels were given."""
    seed: int = SEED
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True)


def robustness(
    model: Path, dataset: Dataset, name: str, groups: Mapping[str, str] | None = None, progress: Progress | None = None
) -> Robustness:
    """Score model.onnx on PublicTest, clean and under every corruption.

    groups: id of an image -> its group. progress: told of corruptions that are done. Raises DataError for images of
    another size than the model's or group labels that name no image of the split, ModelNotFound for no model.
    """
    rows = dataset.rows(PUBLIC_TEST)
    images, labels = np.asarray(dataset.images[rows]), dataset.labels[rows]
    named = None if groups is None else group_names(groups, dataset.manifest.loc[rows, "id"].astype(str).tolist())
    session = open_model(model)
    clean = answer(session, images).probabilities

    def classify(worse: Images) -> Labels:
        return classes(answer(session, worse).probabilities)

    found = []
    for done, key in enumerate(CORRUPTIONS, 1):
        found.append(corrupted(key, classify, images, labels, classes(clean)))
        if progress:
            progress(done, len(CORRUPTIONS))
    return Robustness(
        model=name,
        split=PUBLIC_TEST,
        test_digest=images_digest(dataset.manifest.loc[rows]),
        dataset_fingerprint=dataset.info.fingerprint,
        clean=figures(clean, labels),
        recall=recall_gap(labels, classes(clean)),
        corruptions=tuple(found),
        groups=None if named is None else group_figures(named, labels, clean),
    )


def classes(probabilities: Floats) -> Labels:
    """int64 [N], the most probable of [N, 7]."""
    answers: Labels = probabilities.argmax(1).astype(np.int64)
    return answers


def recall_gap(labels: Labels, answers: Labels) -> Gap:
    """Between the classes that the images bear."""
    return widest({c.name: c.recall for c in by_class(labels, answers) if c.support})


def widest(shares: Mapping[str, float]) -> Gap:
    """Between the first of the best and the first of the worst."""
    best, worst = max(shares, key=lambda name: shares[name]), min(shares, key=lambda name: shares[name])
    return Gap(best, shares[best], worst, shares[worst], shares[best] - shares[worst])


def corrupted(
    name: str, classify: Callable[[Images], Labels], images: Images, labels: Labels, clean: Labels
) -> CorruptionFigures:
    """One corruption at every strength.

    classify: uint8 [N, H, W] -> classes int64 [N]; labels, clean: int64 [N], truth and the answers to the images as
    they are.
    """
    corruption = CORRUPTIONS[name]
    answers = [classify(corruption.change(images, strength)) for strength in corruption.strengths]
    found = tuple(_strength_figures(s, labels, clean, a) for s, a in zip(corruption.strengths, answers, strict=True))
    return CorruptionFigures(name, corruption.unit, found, recall_gap(labels, answers[-1]))


def _strength_figures(strength: float, labels: Labels, clean: Labels, answers: Labels) -> StrengthFigures:
    before, after = confusion(labels, clean), confusion(labels, answers)
    lost = (clean == labels).astype(np.float64) - (answers == labels)
    return StrengthFigures(
        strength=strength,
        accuracy=float(accuracy_of(after)),
        accuracy_lost=float(lost.mean()),
        accuracy_lost_interval=mean_interval(lost),
        macro_f1=float(macro_f1_of(after)),
        macro_f1_lost=float(macro_f1_of(before) - macro_f1_of(after)),
        macro_f1_lost_interval=paired_difference(labels, clean, answers),
    )


def group_names(groups: Mapping[str, str], ids: list[str]) -> npt.NDArray[np.str_]:
    """Group of every image of the split, empty for none; raises DataError where no image has one."""
    named = np.array([groups.get(one, "") for one in ids])
    if not (named != "").any():
        raise DataError(
            f"none of the {len(groups)} group labels names an image of {PUBLIC_TEST}, whose ids are such as {ids[0]}."
        )
    return named


def group_figures(named: npt.NDArray[np.str_], labels: Labels, probabilities: Floats) -> Groups:
    """Figures of each group.

    named: group of every image, empty for none; labels: int64 [N]; probabilities: float32 [N, 7].
    """
    names, counts = np.unique(named[named != ""], return_counts=True)
    masks = {str(name): named == name for name in names[np.argsort(-counts, kind="stable")]}
    groups = tuple(
        GroupFigures(name, figures(probabilities[mask], labels[mask]), bool(mask.sum() >= LEAST_OF_A_GROUP))
        for name, mask in masks.items()
    )
    judged = {group.name: group.figures.accuracy for group in groups if group.judged}
    unlabelled = int((named == "").sum())
    if len(judged) < 2:
        return Groups(groups, unlabelled, None, None)
    gap, answers = widest(judged), classes(probabilities)
    best, worst = ((labels[masks[name]], answers[masks[name]]) for name in (gap.best, gap.worst))
    return Groups(groups, unlabelled, gap, loss_intervals(best, worst)[0])


def robustness_table(found: Robustness) -> str:
    """Corruptions by strength, classes and groups, as Markdown."""
    clean = found.clean
    blocks = [
        f"{found.model} on {found.split}, n = {clean.n}: accuracy {_with(clean.accuracy, clean.accuracy_interval)}, "
        f"macro-F1 {_with(clean.macro_f1, clean.macro_f1_interval)}, 95 % bootstrap intervals. Lost: clean less "
        "corrupted on the same images, in percentage points.",
        markdown(
            ["corruption", "strength", "accuracy", "lost", "macro-F1", "lost"],
            [_strength_row(c, s) for c in found.corruptions for s in c.strengths],
        ),
        "Recall of the best and the worst class, clean and at the strongest of each corruption.",
        markdown(
            ["corruption", "strength", "best", "recall", "worst", "recall", "gap"],
            [["clean", "", *_gap_cells(found.recall)], *map(_recall_row, found.corruptions)],
        ),
    ]
    return "\n\n".join(blocks + (_group_blocks(found.groups) if found.groups else []))


def _strength_row(c: CorruptionFigures, s: StrengthFigures) -> list[str]:
    return [
        f"{c.name} ({c.unit})",
        f"{s.strength:g}",
        f"{100 * s.accuracy:.1f} %",
        _points(s.accuracy_lost, s.accuracy_lost_interval),
        f"{100 * s.macro_f1:.1f} %",
        _points(s.macro_f1_lost, s.macro_f1_lost_interval),
    ]


def _recall_row(c: CorruptionFigures) -> list[str]:
    return [f"{c.name} ({c.unit})", f"{c.strengths[-1].strength:g}", *_gap_cells(c.recall)]


def _group_blocks(found: Groups) -> list[str]:
    rows = []
    for g in found.groups:
        f, note = g.figures, "" if g.judged else f"not judged: fewer than {LEAST_OF_A_GROUP} images"
        macro_f1 = _with(f.macro_f1, f.macro_f1_interval)
        rows.append([g.name, str(f.n), _with(f.accuracy, f.accuracy_interval), macro_f1, note])
    told = f"Fewer than two groups have {LEAST_OF_A_GROUP} images, so no gap is told."
    if found.gap and found.gap_interval:
        told = (
            f"Largest gap in accuracy: {found.gap.best} less {found.gap.worst}, "
            f"{_points(found.gap.size, found.gap_interval)} points."
        )
    caption = f"Groups on clean images; {found.unlabelled} images have no group. {told}"
    return [caption, markdown(["group", "images", "accuracy", "macro-F1", ""], rows)]


def _gap_cells(gap: Gap) -> list[str]:
    best, worst = (f"{100 * share:.1f} %" for share in (gap.best_share, gap.worst_share))
    return [gap.best, best, gap.worst, worst, f"{100 * gap.size:.1f}"]


def _points(size: float, interval: Interval) -> str:
    return f"{100 * size:.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _with(share: float, interval: Interval) -> str:
    return f"{100 * share:.1f} % ({100 * interval.low:.1f} to {100 * interval.high:.1f})"
