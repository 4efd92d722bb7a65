"""Recipes: presets, overrides, JSON, and what is refused."""

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import RecipeError
from components.training.__main__ import main
from components.training.recipes import (
    assignments,
    from_json,
    keys,
    kind_of,
    load_preset,
    override,
    preset_module,
    preset_names,
    tiny,
)
from components.training.records import AugmentRecipe, OptimizerRecipe, Recipe
from flows.recipe_keys import recipe_keys


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_survives_json_and_says_what_it_is(name: str) -> None:
    recipe = load_preset(name)
    assert from_json(recipe.to_json()) == recipe
    assert (preset_module(name).__doc__ or "").strip()
    assert tiny(recipe).model.name == recipe.model.name


def test_an_unknown_preset_names_near_ones() -> None:
    with pytest.raises(RecipeError, match=r"Did you mean.*compact"):
        load_preset("compat")


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("optimizer.lrr=0.1", "Did you mean optimizer.lr"),
        ("optimizer=0.1", "no recipe key"),
        ("optimizer.lr", "not of the form key=value"),
        ("optimizer.lr=fast", "must be float"),
        ("epochs=1.5", "must be int"),
        ("loss.name=hinge", "one of cross-entropy"),
        ("optimizer.lr=-1", "between"),
        ("model.heads=7", "not divisible"),
    ],
)
def test_a_wrong_override_says_what_is_wrong(assignment: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        override(Recipe(), [assignment])


def described() -> dict[str, str]:
    """Key -> what its docstring says."""
    return {key: text for key, _, text in recipe_keys()}


@pytest.mark.parametrize("value", [-1, 10**12])
@pytest.mark.parametrize("key", [key for key in keys(Recipe()) if kind_of(key) in (int, float)])
def test_every_number_has_a_range_that_its_description_tells(key: str, value: int) -> None:
    with pytest.raises(RecipeError, match=rf"^{key} is {value}\b.*; it must lie between \S+ and \S+\.$") as raised:
        override(Recipe(), [f"{key}={value}"])
    low, high = re.findall(r"between (\S+) and (\S+)\.$", str(raised.value))[0]
    own = {"early_epochs": "`epochs`", "early_size": "`model.image_size`"}  # whose upper end is another key's value
    assert f"{low} to {own.get(key, high)}" in described()[key]


def test_overrides_reach_nested_fields_and_leave_the_rest() -> None:
    changed = override(Recipe(), ["optimizer.lr=0.01", "epochs=3", "model.name=resnet18"])
    assert (changed.optimizer.lr, changed.epochs, changed.model.name) == (0.01, 3, "resnet18")
    assert changed.loss == Recipe().loss


def test_every_key_can_be_set_to_its_own_value() -> None:
    recipe = Recipe()
    for key in keys(recipe):
        value: object = recipe
        for part in key.split("."):
            value = getattr(value, part)
        assert override(recipe, [f"{key}={value}"]) == recipe, key


@given(lr=st.floats(1e-6, 1), rotation=st.floats(0, 90), seed=st.integers(0, 2**31))
def test_json_keeps_every_figure(lr: float, rotation: float, seed: int) -> None:
    recipe = Recipe(optimizer=OptimizerRecipe(lr=lr), augment=AugmentRecipe(rotation=rotation), seed=seed)
    assert from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "a recipe must be JSON"),
        (b"\xff\xfe\xfd", "a recipe must be JSON"),
        (b"[1]", r"the recipe is \[1\]; it must be an object"),
        (b'{"model": 3}', "model is 3; it must be an object"),
        (b'{"model": {"depth": "six"}}', "model.depth is 'six'; it must be int"),
        (b'{"epochs": 1.5}', "epochs is 1.5; it must be int"),
        (b'{"epochs": true}', "epochs is True; it must be int"),
        (b'{"ema": null}', "ema is None; it must be float"),
        (b'{"ema": NaN}', "ema is nan; it must lie between"),
        (b'{"int8": 1}', "int8 is 1; it must be bool"),
        (b'{"precision": ["fp32"]}', "precision is .*; it is one of auto, fp32, bf16"),
        (b'{"seed": -1}', "seed is -1; it must lie between"),
    ],
)
def test_a_broken_recipe_file_is_one_line_that_names_it_and_its_fault(
    text: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.json"
    file.write_bytes(text)
    assert main(["--recipe", str(file), "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert re.match(f"error: {file}: {words}", told), told
    assert not (tmp_path / "run").exists()


def test_an_unknown_key_in_a_recipe_file_is_refused() -> None:
    with pytest.raises(RecipeError, match="colour"):
        from_json('{"model": {"colour": 1}}')


def test_every_recipe_field_is_described() -> None:
    """Prefect's form shows the docstring below each field."""
    from pydantic import TypeAdapter

    def undescribed(schema: dict[str, dict[str, dict[str, object]]]) -> list[str]:
        return [
            f"{name}.{key}"
            for name, node in schema["$defs"].items()
            for key, value in node["properties"].items()
            if "description" not in value  # type: ignore[operator]
        ]

    assert undescribed(TypeAdapter(Recipe).json_schema()) == []
    assert dataclasses.is_dataclass(Recipe)


@pytest.mark.parametrize("name", preset_names())
def test_what_differs_between_recipes_makes_one_of_the_other(name: str) -> None:
    """In both directions, also where a single change by itself would be refused."""
    base, other = load_preset(name), tiny(load_preset("compact"))
    assert override(base, assignments(base, other)) == other
    assert override(other, assignments(other, base)) == base
    assert assignments(base, base) == []
