"""Check a model in a fresh process."""

import json
import subprocess
import sys
from pathlib import Path

from components.errors import RegistryError
from components.registry.check import require_registered
from components.registry.records import CheckResult

TIMEOUT_SECONDS = 300


def check_model(folder: Path, model_sha256: str = "") -> CheckResult:
    """Have a new interpreter load a downloaded version and answer its examples.

    Raises RegistryError with the reason: it does not load, answers otherwise, crashes, hangs, or is another file than
    `model_sha256`.
    """
    command = [sys.executable, "-m", "components.registry.check", str(folder)]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise RegistryError(f"the model in {folder} did not answer within {TIMEOUT_SECONDS} s.") from error
    try:
        said = json.loads(child.stdout.splitlines()[-1])
    except (ValueError, IndexError) as error:
        last = child.stderr.strip().splitlines()[-1:] or ["it printed nothing"]
        raise RegistryError(f"the check of {folder} ended with status {child.returncode}: {last[0]}") from error
    if "error" in said:
        raise RegistryError(said["error"])
    result = CheckResult(**said | {"outputs": tuple(said["outputs"])})
    require_registered(result, model_sha256, folder)
    return result
