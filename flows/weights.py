"""`ferline weights mirror`."""

import shutil
import tempfile
from pathlib import Path

from slugify import slugify

from components.dataset import file_sha256
from components.models.hub import snapshot
from flows.context import store


def mirror(name: str, revision: str | None = None) -> str:
    """Copy a hub model, or a local folder of one, into the store; its URI, named by what the weights contain."""
    folder = snapshot(name, revision)
    plain = slugify(folder.name if Path(name).expanduser().is_dir() else name)
    target = f"weights/{plain}-{file_sha256(folder / 'model.safetensors')[:12]}"
    with tempfile.TemporaryDirectory() as scratch:
        # The hub's cache is made of links: what is stored are the files.
        copy = shutil.copytree(folder, Path(scratch) / "model", symlinks=False)
        return store().put_folder(copy, target)
