"""Digests of the code that decides what a stage makes: part of every cache key, so that changed code runs again."""

from pathlib import Path

import components.training
from flows.context import code_version

_FRAME = ("components/dataset.py", "components/labels.py")


def ingest_code() -> str:
    """Of a dataset version."""
    return code_version(*_FRAME, "components/ingest", "components/statistics.py")


def validation_code() -> str:
    """Of a validation."""
    return code_version(*_FRAME, "components/validation")


def balancing_code() -> str:
    """Of a balanced sample."""
    return code_version(*_FRAME, "components/balancing")


def training_code() -> str:
    """Of a training, presets apart: their recipes are inputs."""
    own = (f"components/training/{file.name}" for file in Path(components.training.__file__).parent.glob("*.py"))
    return code_version(*_FRAME, "components/models", "components/evaluation/calibration.py", *own)


def audit_code() -> str:
    """Of an audit of labels, its trainings apart."""
    return code_version(*_FRAME, "components/audit", "components/balancing")


def evaluation_code() -> str:
    """Of an evaluation."""
    return code_version(*_FRAME, "components/evaluation")
