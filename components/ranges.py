"""What the values of a recipe may be, and the one sentence that refuses others."""

from components.errors import RecipeError


def within(name: str, value: float, low: float, high: float) -> None:
    """Raises RecipeError for a number below `low`, above `high`, or that is none (NaN)."""
    if not low <= value <= high:
        raise RecipeError(f"{name} is {value}; it must lie between {low} and {high}.")


def one_of(name: str, value: str, *allowed: str) -> None:
    """Raises RecipeError for another word than these."""
    if value not in allowed:
        raise RecipeError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")
