"""Recipes by name and by key: presets, `--set` overrides, JSON."""

import dataclasses
import difflib
import importlib
import json
import pkgutil
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

from components.errors import RecipeError
from components.training import presets
from components.training.records import Recipe


def preset_names() -> list[str]:
    """Names of all presets; a module `quick_vgg16` is the preset `quick-vgg16`."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(presets.__path__))


def preset_module(name: str) -> types.ModuleType:
    """The file of a preset; raises RecipeError with near matches."""
    if name not in preset_names():
        near = difflib.get_close_matches(name, preset_names(), 3, 0.5)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise RecipeError(f"no preset {name!r}; there are {', '.join(preset_names())}.{hint}")
    return importlib.import_module(f"{presets.__name__}.{name.replace('-', '_')}")


def load_preset(name: str) -> Recipe:
    """The recipe of a preset."""
    return cast(Recipe, preset_module(name).RECIPE)


def tiny(recipe: Recipe) -> Recipe:
    """The same recipe shrunk, and without weights from elsewhere, until a desk machine trains it in seconds."""
    model = dataclasses.replace(
        recipe.model,
        pretrained="",
        image_size=32,
        patch_size=8,
        width=32,
        depth=2,
        heads=2,
        head_hidden=16,
        cnn_width=0.0625,
    )
    pretrain = dataclasses.replace(recipe.pretrain, epochs=min(recipe.pretrain.epochs, 1), width=16)
    return dataclasses.replace(
        recipe,
        model=model,
        data=dataclasses.replace(recipe.data, validation_share=0.05),
        pretrain=pretrain,
        top_blocks=1,
        epochs=2,
        early_size=16 if recipe.early_size else 0,
        early_epochs=min(recipe.early_epochs, 1),
        batch_size=min(recipe.batch_size, 64),
    )


def compose(preset: str, assignments: Iterable[str] = (), small: bool = False) -> Recipe:
    """A preset, shrunk if `small`, with `key=value` texts applied."""
    recipe = load_preset(preset)
    return override(tiny(recipe) if small else recipe, assignments)


def override(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """Apply `key=value` texts such as `optimizer.lr=0.01`, all at once: what one of them breaks another may mend.

    Raises RecipeError, with near matches for a wrong key.
    """
    raw = dataclasses.asdict(recipe)
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise RecipeError(f"--set {text!r} is not of the form key=value, such as optimizer.lr=0.01.")
        _assign(recipe, raw, key.strip(), value.strip())
    return cast(Recipe, _build(Recipe, raw, ""))


def flat(recipe: Recipe) -> dict[str, object]:
    """Dotted key -> value."""
    found: dict[str, object] = {}
    for key in keys(recipe):
        node: Any = recipe
        for part in key.split("."):
            node = getattr(node, part)
        found[key] = node
    return found


def assignments(base: Recipe, recipe: Recipe) -> list[str]:
    """What `override` must be given to make `recipe` of `base`: `key=value` for each key that differs."""
    ours, theirs = flat(recipe), flat(base)
    return [assignment(key, value) for key, value in ours.items() if value != theirs[key]]


def assignment(key: str, value: object) -> str:
    """`key=value`, as `override` takes it."""
    return f"{key}={str(value).lower() if isinstance(value, bool) else value}"


def preset_source(recipe: Recipe, docstring: str) -> str:
    """A preset's file: the recipe written out, with only what differs from the defaults."""
    records: dict[str, list[str]] = {}
    text = _written(recipe, records, 0)
    imports = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(records.items())]
    return f'"""{docstring}\n"""\n\n' + "\n".join(imports) + f"\n\nRECIPE = {text}\n"


def _written(node: Any, records: dict[str, list[str]], depth: int) -> str:
    """A record as the call that makes it; `records` collects what must be imported."""
    names = records.setdefault(type(node).__module__, [])
    if type(node).__name__ not in names:
        names.append(type(node).__name__)
    default, lines = type(node)(), []
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if value != getattr(default, field.name):
            shown = _written(value, records, depth + 1) if dataclasses.is_dataclass(value) else repr(value)
            lines.append(f"{'    ' * (depth + 1)}{field.name}={shown},\n")
    return f"{type(node).__name__}(\n{''.join(lines)}{'    ' * depth})" if lines else f"{type(node).__name__}()"


def _assign(recipe: Recipe, raw: dict[str, Any], key: str, value: str) -> None:
    """Put a text where a key is, as the key's own type."""
    if key not in keys(recipe):
        near = difflib.get_close_matches(key, keys(recipe), 3, 0.3)
        raise RecipeError(
            f"no recipe key {key!r}. Did you mean {', '.join(near) or 'one of ' + ', '.join(keys(recipe))}?"
        )
    *path, last = key.split(".")
    for part in path:
        raw = raw[part]
    raw[last] = _parse(kind_of(key), key, value)


def kind_of(key: str) -> Any:
    """The declared type of a recipe key."""
    hint: Any = Recipe
    for part in key.split("."):
        hint = get_type_hints(hint)[part]
    return hint


def _parse(hint: Any, key: str, value: str) -> object:
    if get_args(hint):
        return value
    if hint is bool:
        if value.lower() not in ("true", "false"):
            raise RecipeError(f"{key} is {value!r}; it is true or false.")
        return value.lower() == "true"
    try:
        return hint(value)
    except ValueError as error:
        raise RecipeError(f"{key} is {value!r}; it must be {hint.__name__}.") from error


def keys(node: object, prefix: str = "") -> list[str]:
    """Every key that `override` takes, dotted."""
    found: list[str] = []
    for f in dataclasses.fields(cast(Any, node)):
        value = getattr(node, f.name)
        found += keys(value, f"{prefix}{f.name}.") if dataclasses.is_dataclass(value) else [prefix + f.name]
    return found


def from_json(text: str | bytes) -> Recipe:
    """A recipe from recipe.json; raises RecipeError for no JSON, an unknown key, and a value of another kind."""
    try:
        raw = json.loads(text)
    except ValueError as error:  # of JSON, or of its encoding
        raise RecipeError(f"a recipe must be JSON: {error}.") from error
    return cast(Recipe, _build(Recipe, raw, ""))


def from_file(path: Path) -> Recipe:
    """What from_json says of a file, with its name."""
    try:
        return from_json(path.read_bytes())
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error


def read_recipe(run: Path) -> Recipe:
    """The recipe of a run folder."""
    return from_file(run / "recipe.json")


def places_here(recipe: Recipe) -> dict[str, Path]:
    """What a recipe names by a path of this machine -> it from the root, for workers with folders of their own."""
    return {name: Path(name).absolute() for name in recipe.outside if Path(name).exists()}


def _build(cls: type[Any], raw: object, prefix: str) -> object:
    """A record of plain values; `prefix` is its own key and a dot. Raises RecipeError that names the key at fault."""
    if not isinstance(raw, Mapping):
        raise RecipeError(f"{prefix[:-1] or 'the recipe'} is {raw!r:.60}; it must be an object of keys and values.")
    hints = get_type_hints(cls)
    unknown = set(raw) - {f.name for f in dataclasses.fields(cls)}
    if unknown:
        raise RecipeError(f"unknown recipe key {prefix}{sorted(unknown)[0]}.")
    values = {
        name: _build(hints[name], value, f"{prefix}{name}.")
        if dataclasses.is_dataclass(hints[name])
        else _checked(hints[name], prefix + name, value)
        for name, value in raw.items()
    }
    return cls(**values)


def _checked(hint: Any, key: str, value: object) -> object:
    """The value, if it is of the key's kind; a whole number is a number too."""
    choices, kinds = get_args(hint), (int, float) if hint is float else hint
    if choices:
        if value not in choices:
            raise RecipeError(f"{key} is {value!r:.60}; it is one of {', '.join(map(str, choices))}.")
    elif not isinstance(value, kinds) or isinstance(value, bool) != (hint is bool):
        raise RecipeError(f"{key} is {value!r:.60}; it must be {hint.__name__}.")
    return value
