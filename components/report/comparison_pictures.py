"""A comparison's pictures: drawn once, kept as PNG files beside the Markdown and as SVG inside the page.

None of them shows a face but `rollouts`, which goes into the page alone: no face of FER-2013 may go into a repository.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from components.dataset import Dataset
from components.evaluation.calibration import reliability
from components.evaluation.scoring import score
from components.labels import CLASSES
from components.report import pictures
from components.report.comparison import Comparison, Contest, Repeat, probabilities
from components.report.pictures import COLOURS, STYLE

COLUMNS = 3
"""Small multiples in a row."""
LINES = ("-", "--", ":", "-.")
"""Once all colours are used up, the next line style tells models apart."""
FIRST_SEED, OTHER_SEEDS = {"alpha": 1.0, "linewidth": 1.6}, {"alpha": 0.5, "linewidth": 0.9}


@dataclass(frozen=True)
class Picture:
    """One figure in both forms."""

    name: str
    """Of its file, without `.png`."""
    title: str
    told: str
    """What it shows, in a sentence."""
    png: bytes
    svg: str


def draw(contest: Contest, comparison: Comparison) -> tuple[Picture, ...]:
    """Every picture without a face."""
    seeds = f"seed{'s' * (len(comparison.seeds) > 1)} {', '.join(map(str, comparison.seeds))}"
    on = f"{comparison.split}, n = {comparison.n:,}, {seeds}"
    several = len(comparison.seeds) > 1
    whiskers = "; the whiskers reach from the least to the greatest seed" if several else ""
    drawings: tuple[tuple[str, str, str, Callable[[], Figure]], ...] = (
        ("comparison-confusion", "Confusion",
         f"Answers by true class, percent of the class's images; {on}{', all seeds together' if several else ''}.",
         lambda: _confusions(comparison)),
        ("comparison-f1", "F1 by class, drawn", f"F1 of each class; {on}{whiskers}.", lambda: _f1(comparison)),
        ("comparison-reliability", "Calibration",
         f"Accuracy against confidence, and how many images have that confidence (gray); {on}"
         f"{', all seeds together; ECE: mean over the seeds' if several else ''}.",
         lambda: _reliabilities(contest, comparison)),
        ("comparison-curves", "Training curves",
         "Macro-F1 and loss on validation images by epoch (dotted: loss on training images, by each recipe's own "
         f"measure); a line a seed, {seeds}.", lambda: _curves(contest)),
    )  # fmt: skip
    with matplotlib.rc_context(STYLE):
        return tuple(_both(name, title, told, make()) for name, title, told, make in drawings)


def _both(name: str, title: str, told: str, figure: Figure) -> Picture:
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=130, bbox_inches="tight", facecolor="white", metadata={"Software": None})
    return Picture(name, title, told, png.getvalue(), pictures.svg(figure, told))


def _multiples(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A grid of `count` small pictures; places that stay empty are hidden."""
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for empty in axes[count:]:
        empty.set_visible(False)
    return figure, axes[:count]


def _confusions(comparison: Comparison) -> Figure:
    figure, places = _multiples(len(comparison.models), 3.5, 3.5)
    for axes, model in zip(places, comparison.models, strict=True):
        counts = np.asarray(model.confusion)
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        # Cells as shapes, not as an image: an image inside an SVG blurs.
        axes.pcolormesh(shares, cmap="cividis", vmin=0, vmax=1, edgecolor="none")
        for i, j in np.ndindex(shares.shape):
            ink = "black" if shares[i, j] > 0.45 else "white"
            weight = "bold" if i == j else "normal"
            axes.text(j + 0.5, i + 0.5, f"{100 * shares[i, j]:.0f}", ha="center", va="center", color=ink, fontsize=9,
                      fontweight=weight)  # fmt: skip
        middles = np.arange(len(CLASSES)) + 0.5
        axes.set_xticks(middles, CLASSES, rotation=40, ha="right", rotation_mode="anchor", fontsize=8.5)
        axes.set_yticks(middles, CLASSES, fontsize=8.5)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(model.name, fontsize=10.5)
    return figure


def _f1(comparison: Comparison) -> Figure:
    figure = Figure(figsize=(10.5, 3.8), layout="constrained")
    axes = figure.subplots()
    x, width = np.arange(len(CLASSES)), 0.84 / len(comparison.models)
    for k, model in enumerate(comparison.models):
        found = [model.f1_by_class[name] for name in CLASSES]
        mean = np.array([f.mean for f in found])
        reach = np.abs(np.array([[f.low, f.high] for f in found]).T - mean)
        place = x + (k - (len(comparison.models) - 1) / 2) * width
        axes.bar(place, mean, width * 0.92, color=_colour(k), label=model.name)
        if len(comparison.seeds) > 1:
            axes.errorbar(place, mean, reach, fmt="none", ecolor=pictures.INK, elinewidth=1, capsize=1.5)
    axes.set_xticks(x, CLASSES)
    axes.set(ylabel="F1", ylim=(0, 1.02))  # a whisker may end at 1
    axes.grid(alpha=0.25, axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", length=0)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False, fontsize=9)
    return figure


def _reliabilities(contest: Contest, comparison: Comparison) -> Figure:
    figure, places = _multiples(len(contest.models), 3.4, 3.1)
    for k, (axes, model) in enumerate(zip(places, comparison.models, strict=True)):
        group = contest.models[model.name]
        given = np.concatenate([probabilities(repeat) for repeat in group])
        labels = np.concatenate([repeat.run.predictions["label"].to_numpy(np.int64) for repeat in group])
        bins = reliability(given, labels)
        confidence = [b.confidence for b in bins]
        axes.bar(confidence, [b.n / len(labels) for b in bins], 0.05, color="#8a8f98", alpha=0.45)
        axes.plot([0, 1], [0, 1], color="#8a8f98", linestyle="--", linewidth=1)
        axes.plot(confidence, [b.accuracy for b in bins], color=_colour(k), marker="o", markersize=4)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
        axes.set_title(f"{model.name}, ECE {model.ece.mean:.3f}", fontsize=10.5)
        axes.grid(alpha=0.25)
        axes.label_outer()
    return figure


def _curves(contest: Contest) -> Figure:
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for k, (name, group) in enumerate(contest.models.items()):
        for number, repeat in enumerate(group):
            epochs = repeat.run.epochs
            x = [line["epoch"] for line in epochs]
            style: dict[str, Any] = {"color": _colour(k), **(OTHER_SEEDS if number else FIRST_SEED)}
            line = LINES[k // len(COLOURS) % len(LINES)]
            left.plot(x, [e["validation_macro_f1"] for e in epochs], linestyle=line, marker=".", markersize=4,
                      label=None if number else name, **style)  # fmt: skip
            right.plot(x, [e["validation_loss"] for e in epochs], linestyle=line, marker=".", markersize=4, **style)
            right.plot(x, [e["train_loss"] for e in epochs], linestyle=":", **style)
    left.set(xlabel="epoch", ylabel="macro-F1, validation images", ylim=(0, 1))
    right.set(xlabel="epoch", ylabel="loss (dotted: training images)")
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False, fontsize=9)
    return figure


def _colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]


# Rollout: the one sheet with faces


@dataclass(frozen=True)
class Map:
    """One model's look at a face."""

    picture: str
    """The face under the model's map, a data address."""
    answer: str
    probability: float
    right: bool


@dataclass(frozen=True)
class Look:
    """One face of the test images and what each model with attention makes of it, in the order of `attentive`."""

    face: str
    """A data address."""
    truth: str
    wanted: str
    """`right` or `wrong`: what the face was chosen for."""
    maps: tuple[Map, ...]


def attentive(contest: Contest) -> dict[str, Repeat]:
    """The models that have a rollout, each under its first seed."""
    return {name: group[0] for name, group in contest.models.items() if group[0].run.summary.has_rollout}


def rollouts(contest: Contest) -> tuple[Look, ...]:
    """Of each class a face that as many models as can be answer rightly, and one wrongly; each under every map."""
    models = attentive(contest)
    if not models:
        return ()
    dataset, first = contest.dataset, contest.first
    rows = dataset.rows(first.run.evaluation.split)
    labels = dataset.labels[rows]
    chosen = examples(labels, np.stack([probabilities(repeat) for repeat in models.values()]))
    places = np.array([place for _, place in chosen], dtype=np.int64)
    heats = [_heat(repeat, dataset, rows[places]) for repeat in models.values()]
    looks = []
    for k, (wanted, place) in enumerate(chosen):
        face = np.asarray(dataset.images[rows[place]])
        maps = tuple(
            _map(face, heat[k], probabilities(repeat)[place], int(labels[place]))
            for repeat, heat in zip(models.values(), heats, strict=True)
        )
        bare = pictures.png(pictures.overlay(face, np.zeros(face.shape, np.float32)))
        looks.append(Look(bare, CLASSES[labels[place]], wanted, maps))
    return tuple(looks)


def _heat(repeat: Repeat, dataset: Dataset, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """float32 [len(rows), H, W]."""
    heat = score(repeat.run.model, np.asarray(dataset.images[rows]), rollout=True).rollout
    assert heat is not None
    return heat


def _map(face: npt.NDArray[np.uint8], heat: npt.NDArray[np.float32], given: npt.NDArray[np.float64], label: int) -> Map:
    answer = int(given.argmax())
    return Map(pictures.png(pictures.overlay(face, heat)), CLASSES[answer], float(given[answer]), answer == label)


def examples(labels: npt.NDArray[np.int64], given: npt.NDArray[np.float64]) -> list[tuple[str, int]]:
    """(`right` or `wrong`, place among the images), a class at a time; left out where no model has such an answer.

    labels: int64 [N]; given: probabilities of M models, [M, N, 7]. Most models first, then the clearest: the least
    probability of the true class among the models for `right`, the greatest for `wrong`.
    """
    hits = (given.argmax(2) == labels).sum(0)  # [N]
    true = given[:, np.arange(len(labels)), labels]  # [M, N]
    chosen = []
    for label in range(len(CLASSES)):
        for wanted, models, clear in (
            ("right", hits, true.min(0)), ("wrong", len(given) - hits, 1 - true.max(0)),
        ):  # fmt: skip
            found = np.flatnonzero((labels == label) & (models > 0))
            if len(found):
                # A probability is below 1 but for rounding, so the count of models decides first.
                chosen.append((wanted, int(found[(models + 0.999 * clear)[found].argmax()])))
    return chosen
