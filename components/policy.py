"""Policy files: one section of YAML that a person edits, read into a frozen record."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from components.errors import RecipeError

M = TypeVar("M", bound=BaseModel)


def load_section(path: Path | None, section: str, model: type[M]) -> M:
    """The one section of a YAML file, the defaults without a file; raises RecipeError naming file, key and fault."""
    if path is None:
        return model()
    try:
        raw = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"policy {path} cannot be read: {error}") from error
    if not isinstance(raw, dict) or set(raw) != {section}:
        found = ", ".join(map(str, raw)) if isinstance(raw, dict) else type(raw).__name__
        raise RecipeError(
            f"policy {path} must hold one section, `{section}`; it holds {found}. See infra/policy/{section}.yaml."
        )
    try:
        return model.model_validate(raw[section])
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(map(str, (section, *wrong["loc"])))
        allowed = f" Keys are {', '.join(model.model_fields)}." if wrong["type"] == "extra_forbidden" else ""
        raise RecipeError(f"policy {path}: {key}: {wrong['msg']} (it is {wrong['input']!r}).{allowed}") from error
