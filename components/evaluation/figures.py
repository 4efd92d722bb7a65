"""Pictures as PNG bytes, drawn without a window system or global state."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from components.evaluation.calibration import Bin
from components.labels import CLASSES


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def confusion_png(table: Sequence[Sequence[int]], title: str) -> bytes:
    """Row shares as colour, per cent and counts as text. table: [7][7], true by predicted class."""
    counts = np.asarray(table)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(6.4, 5.6))
    axes = figure.subplots()
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    for i, j in np.ndindex(counts.shape):
        ink = "black" if shares[i, j] > 0.55 else "white"
        axes.text(j, i, f"{100 * shares[i, j]:.0f} %\n{counts[i, j]}", ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(len(CLASSES)), CLASSES, rotation=35, ha="right")
    axes.set_yticks(range(len(CLASSES)), CLASSES)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    return _png(figure)


def reliability_png(bins: Sequence[Bin], title: str) -> bytes:
    """Accuracy against confidence; the dot's area is the share of images."""
    figure = Figure(figsize=(4.2, 4.2))
    axes = figure.subplots()
    total = sum(b.n for b in bins)
    axes.plot([0, 1], [0, 1], color="gray", linewidth=0.8, linestyle="--")
    axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], color="#2f7ed8", linewidth=1)
    axes.scatter(
        [b.confidence for b in bins],
        [b.accuracy for b in bins],
        s=[20 + 400 * b.n / total for b in bins],
        color="#2f7ed8",
    )
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1), title=title)
    return _png(figure)
