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


def check_folder(folder: Path) -> CheckResult:
    """Load model.onnx and compare its probabilities with examples.npz; raises RegistryError."""
    model, examples = folder / "model.onnx", folder / "extra_files" / "examples.npz"
    missing = [path.name for path in (model, examples) if not path.is_file()]
    if missing:
        raise RegistryError(f"{folder} lacks {' and '.join(missing)}.")
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
    if not difference <= TOLERANCE:  # also true of nan
        raise RegistryError(f"{model} differs from its stored examples by {difference:.3g}; {TOLERANCE:g} is allowed.")
    seconds = time.perf_counter() - start
    return CheckResult(len(images), float(difference), answers.outputs, seconds, file_sha256(model))


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
