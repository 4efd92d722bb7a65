"""A model that is shipped with the code: written from a registered version, read back as a package.

It is kept small: weights for further training in half precision, 1,000 rows of the drift reference, drawn faces as
examples. The ONNX graph is the registered one, byte for byte, so that every figure of it holds.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import save_file

from components.dataset import file_sha256
from components.errors import RegistryError
from components.evaluation.records import Evaluation
from components.gate.records import Decision
from components.registry.answer import ask
from components.registry.card import final_section
from components.registry.package import evenly, write_examples
from components.registry.records import ModelPackage, read_facts

MOST_BYTES = 12_000_000
"""What git can carry without regret."""
REFERENCE_ROWS = 1000
PACKAGE, CARD = "package.json", "card.md"
COPIED = ("recipe.json", "summary.json", "evaluation.json", "decision.json", PACKAGE)
NEEDED = ("model.onnx", "model.safetensors", "examples.npz", "reference.parquet", CARD, *COPIED)


def write_release(
    artifact: Path, faces: npt.NDArray[np.uint8], out: Path, final: Evaluation | None = None
) -> dict[str, int]:
    """Write a registered version's folder as a release into `out`, whole or not at all; file -> bytes.

    faces: uint8 [N, H, W], 0-255, nobody's: their answers are the examples that a new home checks the model by.
    final: figures of PrivateTest, for the card.
    Raises RegistryError: something is in `out`, a file is missing, it is larger than 12 MB.
    """
    if out.exists():
        raise RegistryError(f"{out} is there already: remove it, or name another folder.")
    extra = artifact / "extra_files"
    if missing := [name for name in COPIED if not (extra / name).is_file()]:
        raise RegistryError(f"{artifact} has no {missing[0]}: a release is made of a version that passed the gate.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with _whole(out) as folder:
        shutil.copyfile(artifact / "model.onnx", folder / "model.onnx")
        for name in COPIED:
            shutil.copyfile(extra / name, folder / name)
        _halve(extra / "model.safetensors", folder / "model.safetensors")
        reference = pd.read_parquet(extra / "reference.parquet")
        chosen = evenly(np.arange(len(reference)), REFERENCE_ROWS)
        reference.iloc[chosen].to_parquet(folder / "reference.parquet", index=False, compression="zstd")
        write_examples(faces, ask(folder / "model.onnx", faces).probabilities, folder / "examples.npz")
        card = (extra / "model_card.md").read_text()
        (folder / CARD).write_text(card + (final_section(final) if final else ""))
        sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
        if sum(sizes.values()) > MOST_BYTES:
            largest = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items() if size > 1e5)
            raise RegistryError(
                f"the release would take {sum(sizes.values()) / 1e6:.1f} MB ({largest}); {MOST_BYTES / 1e6:.0f} MB are "
                "allowed. Train a smaller network, or one with int8=true."
            )
    return sizes


def read_release(folder: Path) -> ModelPackage:
    """A release as a package to register; raises RegistryError where it is not whole."""
    if missing := [name for name in NEEDED if not (folder / name).is_file()]:
        raise RegistryError(f"{folder} is no release: {missing[0]} is missing.")
    said = read_facts(folder / PACKAGE)
    model = folder / "model.onnx"
    if (found := file_sha256(model)) != said["model_sha256"]:
        raise RegistryError(
            f"{model} has sha256 {found[:16]}..., {PACKAGE} says {said['model_sha256'][:16]}...: "
            "fetch the folder again."
        )
    return ModelPackage(
        preset=said["preset"],
        model=model,
        weights=folder / "model.safetensors",
        recipe=folder / "recipe.json",
        summary=folder / "summary.json",
        examples=folder / "examples.npz",
        reference=folder / "reference.parquet",
        evaluation=folder / "evaluation.json",
        card=folder / CARD,
        fingerprint=said["fingerprint"],
        temperature=said["temperature"],
        metrics=said["metrics"],
        uncertain_below=said["uncertain_below"],
        decision=folder / "decision.json",
        classes=tuple(said["classes"]),
    )


def read_decision(folder: Path) -> Decision:
    """What the gate said of a release where it was trained."""
    return Decision.from_json((folder / "decision.json").read_text())


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` when the block ends without an error."""
    with TemporaryDirectory(dir=out.parent) as scratch:
        folder = Path(scratch) / "release"
        folder.mkdir()
        yield folder
        folder.rename(out)


def _halve(source: Path, target: Path) -> None:
    """Floats in half precision; integers, and what the file says of itself, as they are."""
    with safe_open(source, "numpy") as file:
        weights, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    halved = {name: value.astype(np.float16) if value.dtype.kind == "f" else value for name, value in weights.items()}
    save_file(halved, target, metadata)
    target.chmod(0o644)  # safetensors writes for its user alone
