"""Where what a recipe names lies on this machine: weights, a teacher, an exclusion list."""

from dataclasses import replace
from pathlib import Path

from components.balancing import DataRecipe
from components.balancing.selection import exclusion_list
from components.dataset import file_sha256
from components.training.records import Recipe
from flows.context import fetch


def places(recipe: Recipe) -> dict[str, Path]:
    """Store URI -> local folder, for the weights, the teacher and the exclusion list that a recipe names by one."""
    return {uri: fetch(uri) for uri in recipe.outside if uri.startswith("s3://")}


def data_here(recipe: Recipe) -> DataRecipe:
    """What training leaves out, its exclusion list as a path on this machine."""
    where = recipe.data.exclude
    return replace(recipe.data, exclude=str(places(recipe).get(where, where)))


def excluded_digest(recipe: Recipe) -> str:
    """sha256 of the exclusion list's bytes, which may change under one name; empty where there is none."""
    where = data_here(recipe).exclude
    file = exclusion_list(where)
    return file_sha256(file) if where and file.is_file() else ""
