"""`ferline weights mirror`, and where the weights that a recipe names lie on this machine."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from slugify import slugify

from components.balancing import DataRecipe
from components.balancing.selection import exclusion_list
from components.dataset import file_sha256
from components.models.hub import snapshot
from components.training.records import Recipe
from flows.context import fetch, store


def mirror(name: str, revision: str | None = None) -> str:
    """Copy a hub model, or a local folder of one, into the store; its URI, named by what the weights contain."""
    folder = snapshot(name, revision)
    plain = slugify(folder.name if Path(name).expanduser().is_dir() else name)
    target = f"weights/{plain}-{file_sha256(folder / 'model.safetensors')[:12]}"
    with tempfile.TemporaryDirectory() as scratch:
        # The hub's cache is made of links: what is stored are the files.
        copy = shutil.copytree(folder, Path(scratch) / "model", symlinks=False)
        return store().put_folder(copy, target)


def places(recipe: Recipe) -> dict[str, Path]:
    """Store URI -> local folder, for the weights, the teacher and the exclusion list that a recipe names by one."""
    named = (recipe.model.pretrained, recipe.distill.teacher, recipe.data.exclude)
    return {uri: fetch(uri) for uri in named if uri.startswith("s3://")}


def data_here(recipe: Recipe) -> DataRecipe:
    """What training leaves out, its exclusion list as a path on this machine."""
    where = recipe.data.exclude
    return replace(recipe.data, exclude=str(places(recipe).get(where, where)))


def excluded_digest(recipe: Recipe) -> str:
    """sha256 of the exclusion list's bytes, which may change under one name; empty where there is none."""
    where = data_here(recipe).exclude
    file = exclusion_list(where)
    return file_sha256(file) if where and file.is_file() else ""
