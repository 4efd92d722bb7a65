"""Drawn faces in FER-2013's form and imbalance: no download, no rights attached, and able to drift on purpose.

Brows, eyes and mouth follow FACS action units (Ekman & Friesen 1978), combined as EMFACS does for each emotion.
The same options give the same bytes. A shift changes the light, the blur, the occlusion or the class mix of otherwise
the same draws, so that two datasets of one seed differ in nothing else.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from components.errors import DataError
from components.ingest.expressions import draw_actions
from components.ingest.heads import draw_heads
from components.ingest.photo import draw_scenes, photograph
from components.ingest.records import Report
from components.labels import CLASSES, PRIVATE_TEST, PUBLIC_TEST, TRAINING

SIDE = 48
NAME = "synthetic"
BATCH = 32  # images drawn at once: their planes stay in a core's second-level cache
LEAST_IMAGES = 100
LEAST_OF_A_CLASS = 5

SPLIT_SHARES = {TRAINING: 28709, PUBLIC_TEST: 3589, PRIVATE_TEST: 3589}
"""Images of FER-2013's splits."""

CLASS_SHARES = (3995, 436, 4097, 7215, 4830, 3171, 4965)
"""Images of FER-2013's Training split by class, in the order of CLASSES."""

MISTAKEN = np.array(  # row: the label; columns: what the face really shows, relative frequency
    [
        [0, 2, 2, 1, 3, 1, 3],
        [5, 0, 1, 1, 2, 0, 1],
        [2, 1, 0, 1, 3, 4, 1],
        [1, 0, 1, 0, 1, 2, 4],
        [2, 1, 3, 1, 0, 0, 4],
        [1, 0, 5, 2, 0, 0, 1],
        [2, 0, 1, 2, 4, 1, 0],
    ],
    dtype=np.float64,
)


@dataclass(frozen=True)
class SyntheticOptions:
    """What `synthetic:` is told; every field may stand in the source's name."""

    images: int = 3500
    """Images over all three splits, in FER-2013's proportions."""
    seed: int = 0
    """Another seed gives other people, expressions and photographs."""
    label_noise: float = 0.03
    """Share of Training whose face shows another emotion than its label says; the test splits have none."""
    darker: float = 0.0
    """Shift: 0 none, 1 a third of the light."""
    blurrier: float = 0.0
    """Shift: 0 none, 1 out of focus by two pixels."""
    occluded: float = 0.0
    """Shift: 0 none, 1 something before nearly every face."""
    class_mix: float = 0.0
    """Shift: 0 FER-2013's shares, 1 its shares in reverse (the rarest class as common as the commonest was)."""

    def __post_init__(self) -> None:
        if self.images < LEAST_IMAGES:
            raise DataError(
                f"{NAME}: images is {self.images}; at least {LEAST_IMAGES} are needed for every class in every split."
            )
        if self.seed < 0:
            raise DataError(f"{NAME}: seed is {self.seed}; it must be 0 or more.")
        for key in ("label_noise", "darker", "blurrier", "occluded", "class_mix"):
            if not 0 <= getattr(self, key) <= 1:
                raise DataError(f"{NAME}: {key} is {getattr(self, key)}; it must lie between 0 and 1.")


def parse_options(text: str) -> SyntheticOptions:
    """Options in a source's name, such as `synthetic:images=5000,seed=1,darker=0.5`.

    Raises DataError on an unknown or repeated key and on a value out of its range.
    """
    name, _, rest = text.partition(":")
    kinds = {f.name: int if f.type is int else float for f in fields(SyntheticOptions)}
    if name.strip() != NAME:
        raise DataError(f"{text!r} is no synthetic source: write {NAME} or {NAME}:images=5000,seed=1.")
    values: dict[str, int | float] = {}
    for part in filter(None, (p.strip() for p in rest.split(","))):
        key, equals, value = (p.strip() for p in part.partition("="))
        if key not in kinds or not equals:
            raise DataError(f"{text!r}: {part!r} is no option; allowed are {', '.join(f'{k}=' for k in kinds)}.")
        if key in values:
            raise DataError(f"{text!r}: {key} is given twice.")
        try:
            values[key] = kinds[key](value)
        except ValueError:
            wanted = "a whole number" if kinds[key] is int else "a number"
            raise DataError(f"{text!r}: {key}={value} is not {wanted}.") from None
    return SyntheticOptions(**values)  # type: ignore[arg-type]  # ints and floats by the field's own kind


def generate(
    options: SyntheticOptions, progress: Report | None = None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.str_]]:
    """Images uint8 [N, 48, 48], labels int64 [N] and split names [N], ordered by split and class."""
    labels, splits = plan(options)
    streams = np.random.SeedSequence(options.seed).spawn(5)
    mistakes, actions_rng, heads_rng, scenes_rng, grain = (np.random.Generator(np.random.PCG64(s)) for s in streams)
    shown = mistake(labels, splits == TRAINING, options.label_noise, mistakes)
    actions = draw_actions(shown, actions_rng)
    heads = draw_heads(len(labels), heads_rng)
    scenes = draw_scenes(len(labels), scenes_rng, options.darker, options.blurrier, options.occluded)
    images = np.empty((len(labels), SIDE, SIDE), dtype=np.uint8)
    for start in range(0, len(labels), BATCH):
        rows = slice(start, start + BATCH)
        images[rows] = photograph(heads.rows(rows), actions.rows(rows), scenes.rows(rows), grain)
        if progress:
            progress("draw", min(start + BATCH, len(labels)), len(labels))
    return images, labels, splits


def plan(options: SyntheticOptions) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.str_]]:
    """Label and split of every image: FER-2013's shares, mixed towards their reverse by `class_mix`."""
    shares = np.array(CLASS_SHARES, dtype=np.float64)
    reverse = np.empty_like(shares)
    reverse[np.argsort(shares)] = np.sort(shares)[::-1]
    mixed = (1 - options.class_mix) * shares + options.class_mix * reverse
    counts = {
        split: apportion(total, mixed, LEAST_OF_A_CLASS)
        for split, total in zip(
            SPLIT_SHARES, apportion(options.images, np.array([*SPLIT_SHARES.values()])), strict=True
        )
    }
    labels = np.concatenate([np.repeat(np.arange(len(CLASSES)), count) for count in counts.values()])
    splits = np.repeat(np.array(list(counts)), [count.sum() for count in counts.values()])
    return labels, splits


def apportion(total: int, shares: npt.NDArray[np.float64], least: int = 0) -> npt.NDArray[np.int64]:
    """Whole numbers that sum to `total` in proportion to `shares` (largest remainder).

    Where the total allows, each is at least `least`: what a small one lacks the largest give.
    """
    exact = total * shares / shares.sum()
    counts: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    least = min(least, total // len(counts))
    while counts.min() < least:
        counts[counts.argmax()] -= 1
        counts[counts.argmin()] += 1
    return counts


def mistake(
    labels: npt.NDArray[np.int64], among: npt.NDArray[np.bool_], share: float, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """The emotion each face shows: its label, but for `share` of the rows `among` one that people confuse it with."""
    chance = np.cumsum(MISTAKEN / MISTAKEN.sum(axis=1, keepdims=True), axis=1)
    order, pick = rng.random(len(labels)), rng.random(len(labels))
    order[~among] = np.inf
    wrong = np.argsort(order, kind="stable")[: round(share * int(among.sum()))]
    shown: npt.NDArray[np.int64] = labels.copy()
    shown[wrong] = (pick[wrong, None] > chance[labels[wrong]]).sum(axis=1)
    return shown
