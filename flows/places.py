"""Where what a recipe names lies on this machine: weights, a teacher, an exclusion list."""

import hashlib
from dataclasses import replace
from pathlib import Path

from components.balancing import DataRecipe
from components.balancing.selection import exclusion_list
from components.dataset import file_sha256
from components.training.records import Recipe
from flows.context import fetch

WEIGHTS = "model.safetensors"
"""Of a finished run, and of a folder in the hub's layout."""


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


def outside_digest(recipe: Recipe) -> str:
    """sha256 over the bytes of what a recipe names outside of it, which may change under one name; empty for nothing.

    Weights and teachers count where they are paths of this machine: a hub's or a store's name tells its content.
    """
    named = filter(None, (recipe.model.pretrained, *recipe.distill.teachers))
    digests = [excluded_digest(recipe), *(_weights_digest(Path(name).expanduser()) for name in named)]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest() if any(digests) else ""


def _weights_digest(place: Path) -> str:
    """sha256 of a file of weights, or of those in a folder; empty where there are none."""
    file = place / WEIGHTS if place.is_dir() else place
    return file_sha256(file) if file.is_file() else ""
