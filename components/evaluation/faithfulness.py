"""Does a heat map show what the network looks at? Deletion, insertion, perturbation, against maps that cannot know.

Deletion and insertion: Petsiuk et al. 2018 (RISE, arXiv 1806.07421). Cells of a map leave the image most important
first and the probability of the class answered at first should fall fast; or they come back to a blurred image, and it
should rise fast. Perturbation: Chefer et al. 2021 (arXiv 2012.09838). Hiding the top cells should cost more right
answers than hiding the bottom ones. A map is worth something for an image only where it beats maps that know nothing
of the image: chance, the centre of the frame, and its own mean over the other images.

An image with cells out is none the network has learned from; that is so for every map alike.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.errors import DataError
from components.evaluation.behaviour import Images, Labels, to_pixels
from components.evaluation.bootstrap import mean_interval
from components.evaluation.corruptions import SEED, blur
from components.evaluation.records import Interval
from components.evaluation.tables import markdown

Floats = npt.NDArray[np.floating]
Classify = Callable[[Images], Floats]
"""uint8 [B, H, W] -> probabilities [B, 7]."""
Measure = Literal["deletion", "insertion", "perturbation"]
Verdict = Literal["beats", "no better", "worse"]

CELLS = 12
"""Cells along a side: 4 x 4 pixels of a 48-pixel face, half the side of compact-vit's patches."""
STEPS = 16
"""Points of a curve after its first, 9 cells each."""
BLUR = 5.0  # pixels, RISE's deviation; of a 48-pixel face a light and a dark half are left
HIDDEN = 0.2  # share of the cells that the perturbation test hides
DRAWS = 3  # random maps an image, averaged; in the perturbation test chance is 0 and need not be drawn
CENTRE_WIDTH = 0.25  # deviation of the centre map, in sides of the image
HIGHER: Mapping[Measure, bool] = {"deletion": False, "insertion": True, "perturbation": True}
"""Measure -> whether more is better."""
RANDOM, CENTRE, MEAN_MAP = "random", "centre", "mean map"
BASELINES = (RANDOM, CENTRE, MEAN_MAP)
"""What each map is held against; the last is the map's own."""


@dataclass(frozen=True)
class Against:
    """A map beside one baseline, image by image."""

    baseline: str
    gain: float
    """How much better the map is; negative where it is worse."""
    interval: Interval

    @property
    def verdict(self) -> Verdict:
        """By the interval alone: above 0, below 0, or neither; what a float's rounding leaves counts as 0."""
        low, high = round(self.interval.low, 9), round(self.interval.high, 9)
        return "beats" if low > 0 else "worse" if high < 0 else "no better"


@dataclass(frozen=True)
class MapFigures:
    """One map in one measure."""

    name: str
    measure: Measure
    mean: float
    """Area under the mean curve, 0 to 1; in the perturbation test the difference of two accuracies, -1 to 1."""
    interval: Interval
    against: tuple[Against, ...]
    """Empty for a baseline."""


@dataclass(frozen=True)
class Faithfulness:
    """Maps and baselines on the same images."""

    n: int
    figures: tuple[MapFigures, ...]
    """Maps in the order they were given, then baselines; each with all measures."""

    def of(self, name: str, measure: Measure) -> MapFigures:
        """The figures of one map in one measure."""
        return next(f for f in self.figures if (f.name, f.measure) == (name, measure))


Scores = dict[Measure, npt.NDArray[np.float64]]
"""Measure -> one figure an image, float64 [N]."""


def faithfulness(
    classify: Classify,
    images: Images,
    labels: Labels,
    maps: Mapping[str, Floats],
    batch_size: int = 256,
    progress: Callable[[str], None] = lambda name: None,
) -> Faithfulness:
    """Judge maps [N, H, W], more for what matters more, on uint8 images [N, H, W] of at least 12 pixels a side.

    labels: int64 [N]; progress: told each map's name before it is judged. Raises DataError for fewer than two images
    or a map of another shape.
    """
    _check(images, maps)
    judge = _Judge(classify, images, labels, batch_size)
    scores: dict[str, Scores] = {}
    for name, given in {**maps, **baselines(maps)}.items():
        progress(name)
        draws = [judge.scores(draw) for draw in (given if given.ndim == 4 else [given])]
        scores[name] = {measure: np.mean([draw[measure] for draw in draws], axis=0) for measure in HIGHER}
    # An order and its reverse are as likely, so here chance is 0: draws would put their noise in its place.
    scores[RANDOM]["perturbation"] = np.zeros(len(images))
    rivals = {name: {RANDOM: RANDOM, CENTRE: CENTRE, MEAN_MAP: mean_map_of(name)} for name in maps}
    figures = (_figures(name, m, scores, rivals.get(name, {})) for name in scores for m in HIGHER)
    return Faithfulness(len(images), tuple(figures))


def mean_map_of(name: str) -> str:
    """Name of a map's own mean over the other images."""
    return f"{MEAN_MAP} of {name}"


def _check(images: Images, maps: Mapping[str, Floats]) -> None:
    if len(images) < 2:
        raise DataError(f"{len(images)} image(s): the mean map of the others needs two at least.")
    for name, given in maps.items():
        if given.shape != images.shape:
            raise DataError(f"map {name!r} is {list(given.shape)}, the images are {list(images.shape)}.")


def baselines(maps: Mapping[str, Floats]) -> dict[str, Floats]:
    """Maps that know nothing of their image: `random` [DRAWS, N, H, W], `centre` and a mean map for each map [N, H, W].

    maps: at least one, each [N, H, W], N >= 2; the mean map of one is its mean over the other images.
    """
    shape = n, height, width = next(iter(maps.values())).shape
    y, x = (np.arange(side) / (side - 1) - 0.5 for side in (height, width))
    centre = np.exp(-(y[:, None] ** 2 + x**2) / (2 * CENTRE_WIDTH**2))
    return {
        RANDOM: np.random.default_rng(SEED).random((DRAWS, *shape), dtype=np.float32),
        CENTRE: np.broadcast_to(centre, shape),
        **{mean_map_of(name): (given.sum(0, dtype=np.float64) - given) / (n - 1) for name, given in maps.items()},
    }


def ranks(maps: Floats) -> npt.NDArray[np.int64]:
    """Place of every cell in its image's order, 0 for the most important: int64 [N, 12, 12]; maps: [N, H, W].

    Cells that are equal stand in random order: in the order of rows the forehead would always come first.
    """
    height, width = maps.shape[1:]
    sums = np.add.reduceat(np.add.reduceat(maps, _edges(height), axis=1, dtype=np.float64), _edges(width), axis=2)
    areas = np.diff(_edges(height), append=height)[:, None] * np.diff(_edges(width), append=width)
    cells = (sums / areas).reshape(len(maps), -1).round(9)  # the order of a sum must not part what is equal
    order = np.lexsort((np.random.default_rng(SEED).random(cells.shape), -cells))
    return np.argsort(order, axis=1).reshape(len(maps), CELLS, CELLS)


def _edges(side: int) -> npt.NDArray[np.int64]:
    """First pixel of each cell along a side."""
    return np.arange(CELLS, dtype=np.int64) * side // CELLS


def mix(before: Images, after: Images, changed: npt.NDArray[np.bool_]) -> Images:
    """`after` where a cell is changed, else `before`: uint8 [N, H, W]; changed: bool [N, 12, 12]."""
    height, width = before.shape[1:]
    rows, columns = (np.searchsorted(_edges(side), np.arange(side), side="right") - 1 for side in (height, width))
    return np.where(changed[:, rows[:, None], columns], after, before)


def curves(
    classify: Classify, before: Images, after: Images, order: npt.NDArray[np.int64], classes: Labels, batch_size: int
) -> npt.NDArray[np.float64]:
    """Probability of a class while cells change from `before` to `after` in their order: [N, 1 + STEPS].

    before, after: uint8 [N, H, W]; order: int64 [N, 12, 12]; classes: int64 [N]. The first point is `before` itself.
    """
    points = np.empty((len(before), 1 + STEPS))
    for start in range(0, len(before), batch_size):
        part = slice(start, start + batch_size)
        index = np.arange(len(before[part]))
        for step, count in enumerate(np.linspace(0, CELLS * CELLS, 1 + STEPS)):
            answers = classify(mix(before[part], after[part], order[part] < count))
            points[part, step] = answers[index, classes[part]]
    return points


def area(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Area under curves [N, 1 + STEPS] over the share of cells changed, by trapezoids: [N]."""
    inner: npt.NDArray[np.float64] = points[:, 1:-1].sum(1) + (points[:, 0] + points[:, -1]) / 2
    return inner / STEPS


class _Judge:
    """What is the same for every map: the images, gray and blurred, and the first answers."""

    def __init__(self, classify: Classify, images: Images, labels: Labels, batch_size: int) -> None:
        self.classify, self.images, self.labels, self.batch_size = classify, images, labels, batch_size
        means = images.mean((1, 2), dtype=np.float32, keepdims=True)
        self.gray = np.broadcast_to(to_pixels(means), images.shape)
        self.blurred = blur(images, BLUR)
        self.classes = self._answers(images)

    def scores(self, maps: Floats) -> Scores:
        """All measures of maps [N, H, W]."""
        order, last = ranks(maps), CELLS * CELLS - 1
        deletion = curves(self.classify, self.images, self.gray, order, self.classes, self.batch_size)
        insertion = curves(self.classify, self.blurred, self.images, order, self.classes, self.batch_size)
        without_top, without_bottom = (self._right_without(places) for places in (order, last - order))
        return {
            "deletion": area(deletion),
            "insertion": area(insertion),
            "perturbation": without_bottom - without_top,
        }

    def _right_without(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """1 where the answer is right with the first cells gray, else 0: float64 [N]."""
        hidden = mix(self.images, self.gray, places < round(HIDDEN * CELLS * CELLS))
        right: npt.NDArray[np.float64] = (self._answers(hidden) == self.labels).astype(np.float64)
        return right

    def _answers(self, images: Images) -> Labels:
        starts = range(0, len(images), self.batch_size)
        parts = [self.classify(images[start : start + self.batch_size]).argmax(1) for start in starts]
        return np.concatenate(parts).astype(np.int64)


def _figures(name: str, measure: Measure, scores: Mapping[str, Scores], rivals: Mapping[str, str]) -> MapFigures:
    """rivals: baseline -> the name of its map in `scores`."""
    own, sign = scores[name][measure], 1 if HIGHER[measure] else -1
    against = []
    for baseline, rival in rivals.items():
        gains = sign * (own - scores[rival][measure])
        against.append(Against(baseline, float(gains.mean()), mean_interval(gains)))
    return MapFigures(name, measure, float(own.mean()), mean_interval(own), tuple(against))


CAPTIONS: Mapping[Measure, str] = {
    "deletion": f"Deletion: area under the probability of the first answer while cells turn gray (their image's mean), "
    f"most important first, {CELLS} x {CELLS} cells; lower is better.",
    "insertion": f"Insertion: the same while cells come back to the blurred image ({BLUR:g} pixels); higher is better.",
    "perturbation": f"Perturbation: accuracy with the {100 * HIDDEN:.0f} % of the cells that matter least gray, less "
    "accuracy with those that matter most gray; higher is better, and chance is 0 exactly.",
}


def faithfulness_tables(found: Faithfulness) -> str:
    """A table a measure and a line a map, with each gain over a baseline, its interval and its verdict, as Markdown.

    The mean map that a map is held against is its own.
    """
    blocks = []
    for measure, caption in CAPTIONS.items():
        figures = [f for f in found.figures if f.measure == measure]
        head = ["map", f"{measure} (95 %)", *(f"better than {name} by" for name in BASELINES)]
        blocks.append(f"{caption} n = {found.n}.\n\n{markdown(head, [_row(f) for f in figures])}")
    judged = list(dict.fromkeys(f.name for f in found.figures if f.against))
    blocks.append("\n".join(f"- {name}: {conclusion(found, name)}" for name in judged))
    comparisons = sum(len(f.against) for f in found.figures)
    blocks.append(
        f"Verdicts follow from the paired 95 % bootstrap intervals; of {comparisons} comparisons about "
        f"{0.05 * comparisons:.0f} would look like a difference by chance alone."
    )
    return "\n\n".join(blocks)


def _row(f: MapFigures) -> list[str]:
    cells = [f"{a.gain:+.3f} ({a.interval.low:+.3f} to {a.interval.high:+.3f}) {a.verdict}" for a in f.against]
    own = f"{f.mean:.3f} ({f.interval.low:.3f} to {f.interval.high:.3f})"
    return [f.name, own, *(cells or [""] * len(BASELINES))]


def conclusion(found: Faithfulness, name: str) -> str:
    """One map in words: `deletion beats random, no better than centre, worse than mean map; insertion ...`."""
    words: Mapping[Verdict, str] = {"beats": "beats", "no better": "no better than", "worse": "worse than"}
    parts = []
    for measure in HIGHER:
        against = found.of(name, measure).against
        named = {v: [a.baseline for a in against if a.verdict == v] for v in words}
        told = ", ".join(f"{words[v]} {' and '.join(names)}" for v, names in named.items() if names)
        parts.append(f"{measure} {told}")
    return "; ".join(parts)
