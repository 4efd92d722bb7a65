"""Pictures of the run's report, as text that stands inside the page and follows its light or dark colours."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

INK = "#010203"  # a colour nobody uses, replaced by the page's own
COLOURS = ("#2f7ed8", "#d9822b", "#3a9d6a", "#b5479d", "#8b6fd0", "#c9443c")
STYLE: Any = {
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.hashsalt": "ferline",
}


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :].replace(INK, "currentColor")


def curves(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Validation macro-F1 and both losses by epoch; runs: name -> lines of metrics.jsonl."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 3.4))
        left, right = figure.subplots(1, 2)
        for (name, epochs), colour in zip(runs.items(), COLOURS * 4, strict=False):
            x = [line["epoch"] for line in epochs]
            left.plot(x, [line["validation_macro_f1"] for line in epochs], color=colour, marker=".", label=name)
            right.plot(x, [line["validation_loss"] for line in epochs], color=colour, marker=".", label=name)
            right.plot(x, [line["train_loss"] for line in epochs], color=colour, linestyle=":")
        left.set(xlabel="epoch", ylabel="macro-F1, validation", ylim=(0, 1))
        right.set(xlabel="epoch", ylabel="loss (dotted: training)")
        for axes in (left, right):
            axes.grid(alpha=0.25)
            axes.xaxis.get_major_locator().set_params(integer=True)
        left.legend(frameon=False)
        figure.tight_layout()
        return _svg(figure)


def reliability(bins: Sequence[tuple[float, float, int]]) -> str:
    """Confidence against accuracy; bins: (mean confidence, accuracy, images)."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.2, 3.2))
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
        filled = [b for b in bins if b[2]]
        axes.plot([b[0] for b in filled], [b[1] for b in filled], color=COLOURS[0], marker="o", markersize=4)
        axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
        return _svg(figure)


def png(image: Image.Image) -> str:
    """A picture as a data address."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def overlay(face: npt.NDArray[np.uint8], heat: npt.NDArray[np.float32], strength: float = 0.55) -> Image.Image:
    """A face [H, W] under its rollout map [H, W] in 0..1, as an RGB picture of four times the size."""
    colours = matplotlib.colormaps["inferno"](np.clip(heat, 0, 1))[..., :3] * 255  # [H, W, 3]
    weight = strength * np.clip(heat, 0, 1)[..., None]
    mixed = face[..., None] * (1 - weight) + colours * weight
    height, width = face.shape
    return Image.fromarray(mixed.astype(np.uint8)).resize((width * 4, height * 4), Image.Resampling.BICUBIC)
