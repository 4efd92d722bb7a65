"""Pictures as PNG bytes, drawn without a window system or global state.

Colours: cividis for shares (Nuñez et al. 2018) and Okabe & Ito's blue and vermilion for lines, which people with any
colour vision tell apart; line styles differ as well.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.evaluation.calibration import BINS, Bin
from components.labels import CLASSES

if TYPE_CHECKING:
    from components.evaluation.robustness import CorruptionFigures, Robustness

BLUE, VERMILION, GRAY = "#0072b2", "#d55e00", "#767676"


def confusion_png(table: Sequence[Sequence[int]], title: str) -> bytes:
    """Row shares as colour, shares and counts as text. table: [7][7], true by predicted class."""
    counts = np.asarray(table)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(7.4, 6.4))
    axes = figure.subplots()
    picture = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    for i, j in np.ndindex(counts.shape):
        ink = "black" if shares[i, j] > 0.45 else "white"
        weight = "bold" if i == j else "normal"
        axes.text(j, i - 0.14, f"{100 * shares[i, j]:.0f} %", ha="center", va="center", color=ink, fontweight=weight)
        axes.text(j, i + 0.22, f"{counts[i, j]:,}", ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(len(CLASSES)), CLASSES, rotation=30, ha="right")
    axes.set_yticks(range(len(CLASSES)), [f"{name}\n{n:,}" for name, n in zip(CLASSES, counts.sum(1), strict=True)])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="predicted", ylabel="true, images", title=title)
    figure.colorbar(picture, ax=axes, label="share of the true class", fraction=0.045, pad=0.03)
    return _png(figure)


def reliability_png(bins: Sequence[Bin], title: str) -> bytes:
    """Accuracy against confidence above, how many images have that confidence below."""
    figure = Figure(figsize=(5.0, 5.8))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    confidence, total = [b.confidence for b in bins], sum(b.n for b in bins)
    upper.plot([0, 1], [0, 1], color=GRAY, linestyle="--", linewidth=1, label="perfectly calibrated")
    upper.plot(confidence, [b.accuracy for b in bins], color=BLUE, marker="o", markersize=5, label="this model")
    upper.vlines(confidence, confidence, [b.accuracy for b in bins], color=VERMILION, linewidth=2, label="gap")
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02), title=title)
    upper.legend(frameon=False, loc="upper left")
    lower.bar(confidence, [b.n / total for b in bins], width=0.8 / BINS, color=BLUE)
    lower.set(xlabel="confidence", ylabel="share of images")
    for axes in (upper, lower):
        _plain(axes)
    figure.tight_layout()
    return _png(figure)


def curves_png(rows: Sequence[Mapping[str, float]], title: str) -> bytes:
    """Loss, and macro-F1 with accuracy on the validation slice, by epoch. rows: lines of metrics.jsonl."""
    figure = Figure(figsize=(9, 3.6))
    left, right = figure.subplots(1, 2)
    x = [row["epoch"] for row in rows]
    left.plot(x, [row["train_loss"] for row in rows], color=GRAY, linestyle="--", marker=".", label="training")
    left.plot(x, [row["validation_loss"] for row in rows], color=BLUE, marker=".", label="validation")
    left.set(xlabel="epoch", ylabel="loss")
    right.plot(x, [row["validation_macro_f1"] for row in rows], color=BLUE, marker=".", label="macro-F1")
    right.plot(x, [row["validation_accuracy"] for row in rows], color=VERMILION, linestyle=":", marker=".",
               label="accuracy")  # fmt: skip
    right.set(xlabel="epoch", ylabel="share, validation", ylim=(0, 1))
    for axes in (left, right):
        _plain(axes)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    figure.suptitle(title)
    figure.tight_layout()
    return _png(figure)


def robustness_png(found: "Robustness") -> bytes:
    """Accuracy and macro-F1 against strength, a small picture a corruption; the first point is the clean images."""
    rows = -(-len(found.corruptions) // 4)
    figure = Figure(figsize=(11, 0.8 + 2.6 * rows))
    panels = figure.subplots(rows, 4, sharey=True, squeeze=False).flat
    for axes, corruption in zip(panels, found.corruptions, strict=False):
        _panel(axes, corruption, found)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, loc="upper right", ncols=len(names))
    figure.suptitle(f"{found.model} on {found.split}, n = {found.clean.n}", x=0.01, ha="left")
    figure.tight_layout()
    return _png(figure)


def _panel(axes: Axes, corruption: "CorruptionFigures", found: "Robustness") -> None:
    clean, strengths = found.clean, corruption.strengths
    x = range(1 + len(strengths))
    low = [clean.accuracy, *(clean.accuracy - s.accuracy_lost_interval.high for s in strengths)]
    high = [clean.accuracy, *(clean.accuracy - s.accuracy_lost_interval.low for s in strengths)]
    axes.axhline(clean.accuracy, color=GRAY, linestyle="--", linewidth=1, label="accuracy, clean")
    axes.fill_between(x, low, high, color=BLUE, alpha=0.2, linewidth=0, label="95 %, against clean")
    axes.plot(x, [clean.accuracy, *(s.accuracy for s in strengths)], color=BLUE, marker="o", markersize=4,
              label="accuracy")  # fmt: skip
    axes.plot(x, [clean.macro_f1, *(s.macro_f1 for s in strengths)], color=VERMILION, linestyle=":", marker="s",
              markersize=3, label="macro-F1")  # fmt: skip
    axes.set_xticks(x, ["clean", *(f"{s.strength:g}" for s in strengths)], fontsize=8)
    axes.set(title=corruption.name, ylim=(0, 1))
    axes.set_xlabel(corruption.unit, fontsize=9)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()
