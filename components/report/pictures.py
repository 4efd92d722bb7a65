"""Pictures of the run's report, as text that stands inside the page and follows its light or dark colours."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

INK = "#010203"  # a colour nobody uses, replaced by the page's own
COLOURS = ("#2f7ed8", "#d9822b", "#3a9d6a", "#b5479d", "#8b6fd0", "#c9443c")
STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
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


def svg(figure: Figure, told: str) -> str:
    """A figure as text, its ink the page's own; told: what it shows, for those who do not see it."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
    drawn = text.getvalue()
    drawn = re.sub(r' id="[\w.]+_\d+"', "", drawn[drawn.index("<svg") :])  # the same in every picture: no two on a page
    return drawn.replace(INK, "currentColor").replace("<svg", f'<svg role="img" aria-label="{told}"', 1)


def curves(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> list[str]:
    """Validation macro-F1, then both losses, by epoch; runs: name -> lines of metrics.jsonl."""
    with matplotlib.rc_context(STYLE):
        figures = Figure(figsize=(5, 3.4)), Figure(figsize=(5, 3.4))
        left, right = (figure.subplots() for figure in figures)
        for (name, epochs), colour in zip(runs.items(), COLOURS * 4, strict=False):
            x = [line["epoch"] for line in epochs]
            left.plot(x, [line["validation_macro_f1"] for line in epochs], color=colour, marker=".", label=name)
            right.plot(x, [line["validation_loss"] for line in epochs], color=colour, marker=".", label=name)
            right.plot(x, [line["train_loss"] for line in epochs], color=colour, linestyle=":")
        left.set(xlabel="epoch", ylabel="macro-F1, validation images", ylim=(0, 1))
        right.set(xlabel="epoch", ylabel="loss (dotted: training images)")
        for axes in (left, right):
            axes.grid(alpha=0.25)
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
            axes.legend(frameon=False)
        told = "Macro-F1 on the validation images by epoch", "Loss on training and validation images by epoch"
        return [svg(figure, text) for figure, text in zip(figures, told, strict=True)]


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
