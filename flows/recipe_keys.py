"""Every key of a recipe with its default and what it does, from the records' own docstrings."""

from typing import Any

from pydantic import TypeAdapter

from components.training.records import Recipe

Line = tuple[str, str, str]


def recipe_keys() -> list[Line]:
    """Key as `--set` takes it, default, meaning."""
    schema = TypeAdapter(Recipe).json_schema()
    return _walk(schema, schema["properties"], "")


def _walk(schema: dict[str, Any], properties: dict[str, Any], prefix: str) -> list[Line]:
    lines: list[Line] = []
    for name, node in properties.items():
        if "$ref" in node:
            inner = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
            lines += _walk(schema, inner["properties"], f"{name}.")
        else:
            default = node.get("default", "")
            lines.append((prefix + name, str(default), " ".join(node["description"].split())))
    return lines


def markdown() -> str:
    """The keys as a table."""
    rows = [f"| `{key}` | {f'`{default}`' if default else ''} | {text} |" for key, default, text in recipe_keys()]
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows])
