"""The policy file says what the code says, and a mistake in it is named."""

from pathlib import Path

import pytest

from components.drift import DriftPolicy, load_policy
from components.errors import RecipeError

SHIPPED = Path(__file__).parents[2] / "infra" / "policy" / "drift.yaml"


def test_the_shipped_file_holds_the_defaults() -> None:
    assert load_policy(SHIPPED) == DriftPolicy() == load_policy()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("drift: {window: {row: 500}}", "drift.window.row"),
        ("drift: {checks: {brightness: {effect: 0.1, severity: loud}}}", "drift.checks.brightness.severity"),
        ("drift: {false_alarm: 2}", "drift.false_alarm"),
        ("gate: {}", "must hold one section"),
        ("drift: [", "cannot be read"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "drift.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=said):
        load_policy(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        load_policy(tmp_path / "nothing.yaml")
