"""`ferline weights mirror`, and where the weights that a recipe names lie on this machine."""

import re
import shutil
import tempfile
from pathlib import Path

from components.dataset import file_sha256
from components.models.hub import snapshot
from components.training.records import Recipe
from flows.context import fetch, store


def mirror(name: str, revision: str | None = None) -> str:
    """Copy a hub model, or a local folder of one, into the store; its URI, named by what the weights contain."""
    folder = snapshot(name, revision)
    plain = re.sub(r"[^a-zA-Z0-9.]+", "-", folder.name if Path(name).expanduser().is_dir() else name).strip("-")
    target = f"weights/{plain}-{file_sha256(folder / 'model.safetensors')[:12]}"
    with tempfile.TemporaryDirectory() as scratch:
        # The hub's cache is made of links: what is stored are the files.
        copy = shutil.copytree(folder, Path(scratch) / "model", symlinks=False)
        return store().put_folder(copy, target)


def places(recipe: Recipe) -> dict[str, Path]:
    """Store URI -> local folder, for the weights and the teacher that a recipe names by one."""
    named = (recipe.model.pretrained, recipe.distill.teacher)
    return {uri: fetch(uri) for uri in named if uri.startswith("s3://")}
