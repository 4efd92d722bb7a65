"""A model by reference: a run folder of the store, or a version of the registry."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from components.dataset import file_sha256, open_dataset
from components.errors import GateError
from components.evaluation.records import Evaluation
from components.gate import EvaluatedModel
from components.registry.records import read_package
from components.training import read_summary
from components.training.records import RunSummary
from flows.context import artifact, fetch, registry

VERSION = "models:/"


@dataclass(frozen=True)
class ModelFolder:
    """Where a model's graph lies on this machine."""

    onnx: Path
    temperature: float
    name: str
    """As people know it: its preset, and which one of that preset's models."""


def model_folder(uri: str) -> ModelFolder:
    """`models:/7` or `models:/champion` from the registry, anything else a training run folder."""
    if uri.startswith(VERSION):
        folder = artifact(registry().get(uri.removeprefix(VERSION)))
        package = read_package(folder)
        return ModelFolder(folder / "model.onnx", package["temperature"], f"{package['preset']}, {uri}")
    run = Path(uri) if (Path(uri) / "summary.json").is_file() else fetch(uri)
    summary = RunSummary.from_json((run / "summary.json").read_text())
    return ModelFolder(run / "model.onnx", summary.temperature, f"{summary.preset}, {Path(uri).name}")


def complete(run: Path, dataset_uri: str) -> None:
    """Write the graph of a run folder whose machine could not; what has one, or is no folder, is left alone."""
    if not (run / "summary.json").is_file() or read_summary(run).model_sha256:
        return
    from components.training.graph import write_missing  # torch: 2 s

    write_missing(run, open_dataset(fetch(dataset_uri)))


def evaluated(name: str, model_uri: str, evaluation_uri: str, version: str | None) -> EvaluatedModel:
    """A model and its figures, as the gate takes them; raises GateError for figures of another model."""
    folder, sha256 = fetch(evaluation_uri), file_sha256(model_folder(model_uri).onnx)
    if not PurePosixPath(evaluation_uri).name.startswith(sha256[:16]):
        raise GateError(f"{evaluation_uri} is of another model than {model_uri} ({sha256[:16]}): evaluate that one.")
    return EvaluatedModel(
        name=name,
        version=version,
        model_sha256=sha256,
        evaluation=Evaluation.from_json((folder / "evaluation.json").read_text()),
        predictions=pd.read_parquet(folder / "predictions.parquet"),
    )
