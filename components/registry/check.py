"""Does a registered model answer its stored examples? `python -m components.registry.check FOLDER`

Run in a process of its own, so that it finds what a service will find: files and ONNX Runtime, nothing that training
left in memory. Prints a CheckResult as JSON; a failure is {"error": ...} and status 1.
"""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from components.dataset import file_sha256
from components.errors import FerlineError, RegistryError
from components.registry.answer import ask
from components.registry.records import CheckResult

TOLERANCE = 1e-4
EIGHT_BIT_TOLERANCE = 0.05
"""Of a graph in 8 bits: another processor or ONNX Runtime rounds a value to the step beside it. Without the runtime's
fusions serving/release moves by 0.006; classes are not compared, since two of its examples nearly tie."""


def check_folder(folder: Path) -> CheckResult:
    """Load model.onnx and compare its probabilities with examples.npz; raises RegistryError.

    They may differ by 1e-4, and by 0.05 where recipe.json says `int8`.
    """
    extra = folder / "extra_files"
    model, examples, recipe = folder / "model.onnx", extra / "examples.npz", extra / "recipe.json"
    missing = [path.name for path in (model, examples, recipe) if not path.is_file()]
    if missing:
        raise RegistryError(f"{folder} lacks {' and '.join(missing)}.")
    allowed = _allowed(recipe)
    start = time.perf_counter()
    try:
        with np.load(examples, allow_pickle=False) as stored:
            images, expected = stored["images"], stored["probabilities"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise RegistryError(f"{examples} cannot be read: {error}") from error
    answers = ask(model, images)
    if answers.probabilities.shape != expected.shape:
        raise RegistryError(f"{model} answers {answers.probabilities.shape} to examples of {expected.shape}.")
    difference = np.abs(answers.probabilities - expected).max(initial=0.0)
    if not difference <= allowed:  # also true of nan
        raise RegistryError(f"{model} differs from its stored examples by {difference:.3g}; {allowed:g} is allowed.")
    seconds = time.perf_counter() - start
    return CheckResult(len(images), float(difference), answers.outputs, seconds, file_sha256(model))


def _allowed(recipe: Path) -> float:
    """How far a probability may lie from the stored one."""
    try:
        eight_bits = json.loads(recipe.read_text()).get("int8", False)
    except (OSError, ValueError, AttributeError) as error:
        raise RegistryError(f"{recipe} cannot be read: {error}") from error
    return EIGHT_BIT_TOLERANCE if eight_bits else TOLERANCE


def require_registered(result: CheckResult, model_sha256: str, folder: Path) -> None:
    """Raises RegistryError where the checked file is not the one that was registered; no sha256 asks for nothing."""
    if model_sha256 and result.model_sha256 != model_sha256:
        raise RegistryError(
            f"{folder}/model.onnx has sha256 {result.model_sha256[:16]}, not the registered {model_sha256[:16]}: "
            "the artifact was changed after it was registered. Register the model again."
        )


def main(folder: str) -> int:
    """Print the result or the error as one JSON line; returns the process's status."""
    try:
        print(json.dumps(asdict(check_folder(Path(folder)))))
        return 0
    except FerlineError as error:
        print(json.dumps({"error": str(error)}))
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
