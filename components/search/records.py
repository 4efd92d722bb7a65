"""What is searched, as a person writes it, and what a trial came to."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from components.errors import RecipeError
from components.training.recipes import assignment, kind_of, override
from components.training.records import Recipe

Value = int | float | str | bool

PAPER = (
    "optimizer.lr=3e-5..0.01:log",
    "batch_size=32|64",
    "balance.method=none|paper",
    "balance.max_class_limit=0.35..0.60",
    "balance.oversample_factor=1.5..3",
    "schedule.after=plateau|step|cosine",
    "schedule.step_epochs=5..10",
    "schedule.plateau_patience=2..5",
)
"""The ranges that the paper states (3.2)."""


class Pruned(Exception):
    """The trial does worse than half of the others did at this epoch."""


_RANGE = re.compile(r"(?P<low>[^.|:]+(?:\.\d+)?(?:e-?\d+)?)\.\.(?P<high>[^|:]+)(?P<log>:log)?")


@dataclass(frozen=True)
class Dimension:
    """One recipe key and the values it may take: a range, or choices."""

    key: str
    kind: Literal["int", "float", "choice"]
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trial:
    """One recipe that was tried."""

    number: int
    state: Literal["complete", "pruned", "failed", "running"]
    values: dict[str, Value]
    """Recipe key -> value."""
    macro_f1: float | None
    """On PublicTest; None unless complete."""
    epochs: int
    """That were trained."""

    @property
    def assignments(self) -> list[str]:
        """As `--set` takes them."""
        return assignments(self.values)


def assignments(values: dict[str, Value]) -> list[str]:
    """`key=value` texts."""
    return [assignment(key, value) for key, value in values.items()]


def most_epochs(recipe: Recipe, space: Iterable[Dimension]) -> int:
    """Epochs that the longest trial may train: the recipe's, unless they are searched."""
    searched = next((dimension for dimension in space if dimension.key == "epochs"), None)
    if searched is None:
        return recipe.epochs
    return int(max([searched.high, *map(float, searched.choices)]))


def parse_space(recipe: Recipe, texts: Iterable[str]) -> tuple[Dimension, ...]:
    """`optimizer.lr=3e-5..0.01:log`, `batch_size=32|64` -> dimensions of a recipe.

    Both ends of a range and every choice must make a recipe by themselves. Raises RecipeError, with near matches for a
    wrong key.
    """
    found = tuple(_parse(recipe, text) for text in texts)
    if not found:
        raise RecipeError("the space is empty: name at least one key, such as optimizer.lr=3e-5..0.01:log.")
    keys = [dimension.key for dimension in found]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise RecipeError(f"{sorted(twice)[0]} stands in the space twice.")
    return found


def _parse(recipe: Recipe, text: str) -> Dimension:
    key, equals, values = text.partition("=")
    key, values = key.strip(), values.strip()
    if not equals:
        raise RecipeError(f"{text!r} is no dimension: write key=low..high, key=low..high:log or key=a|b|c.")
    if match := _RANGE.fullmatch(values):
        override(recipe, [f"{key}={match['low']}"])
        override(recipe, [f"{key}={match['high']}"])
        whole = kind_of(key) is int
        low, high, log = float(match["low"]), float(match["high"]), bool(match["log"])
        if not low < high or (log and low <= 0):
            raise RecipeError(f"{text!r}: the lower end must lie below the upper one{', above 0' if log else ''}.")
        return Dimension(key, "int" if whole else "float", low, high, log)
    choices = tuple(choice.strip() for choice in values.split("|"))
    for choice in choices:
        override(recipe, [f"{key}={choice}"])
    return Dimension(key, "choice", choices=choices)
