"""Runs, models and aliases in MLflow: the one door to it.

Only the client is used, never the fluent functions, so that several registries and several runs can be open in one
process, each on its own database. mlflow is imported with the first Registry (1.1 s), not with this module.
"""

import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from components.dataset import DatasetInfo, file_sha256
from components.errors import ModelNotFound, RegistryError
from components.registry.records import ModelPackage, ModelVersion, RunStatus

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

KEY, SHA256, STATUS, METRICS = "ferline.key", "ferline.model_sha256", "ferline.status", "ferline.metrics"
"""Tags: of a run, its key; of a version, what `ModelVersion` is read from."""

Values = Mapping[str, float]


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """MLflow's and its database's errors as ours."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        kind = ModelNotFound if error.error_code == "RESOURCE_DOES_NOT_EXIST" else RegistryError
        raise kind(f"{what}: {error.message.splitlines()[0]}") from error
    except (SQLAlchemyError, OSError) as error:
        raise RegistryError(f"{what}: {str(error).splitlines()[0]}") from error


def upgrade_database(url: str) -> None:
    """Bring a tracking database to the tables of the installed MLflow; in this process, where no one sees the URL."""
    from mlflow.db import upgrade

    with _errors(f"tracking database {without_password(url)}"):
        upgrade.callback(url)


def without_password(url: str) -> str:
    """A database's address as it may be shown."""
    return re.sub(r"(//[^:/@]+):[^@/]+@", r"\1:***@", url)


class Registry:
    """One registered model, its versions, and the runs that made them."""

    def __init__(self, tracking_uri: str, artifact_root: Path, model_name: str, experiment: str = "ferline") -> None:
        """A database or server of MLflow. `artifact_root` holds artifacts unless a server keeps them itself."""
        self.tracking_uri, self.artifact_root = tracking_uri, artifact_root
        self.model_name, self.experiment = model_name, experiment

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's client; the first one on a new SQLite file makes its tables (5.5 s)."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # says "Creating initial tables" at every start otherwise
        with _errors(f"tracking database {without_password(self.tracking_uri)}"):
            return MlflowClient(self.tracking_uri, registry_uri=self.tracking_uri)

    @cached_property
    def experiment_id(self) -> str:
        """The experiment's id; made where missing."""
        client = self.client
        if found := client.get_experiment_by_name(self.experiment):
            return str(found.experiment_id)
        remote = self.tracking_uri.startswith(("http://", "https://"))
        location = None if remote else self.artifact_root.absolute().as_uri()
        with _errors(f"experiment {self.experiment!r}"):
            return str(client.create_experiment(self.experiment, artifact_location=location))

    # Runs

    def track(self, key: str, name: str, parameters: Mapping[str, object], parent: str = "") -> "TrackedRun":
        """Start a run, or go on with the one that carries `key`; parameters are a flat mapping.

        parent: id of the run below which it is shown.
        """
        client, tags = self.client, {KEY: key, "mlflow.source.name": "ferline", "mlflow.source.type": "JOB"}
        tags |= {"mlflow.parentRunId": parent} if parent else {}
        with _errors(f"run {name!r}"):
            found = client.search_runs([self.experiment_id], f"tags.`{KEY}` = '{key}'", max_results=1)
            run = found[0] if found else client.create_run(self.experiment_id, tags=tags, run_name=name)
            if run.info.status != "RUNNING":
                client.update_run(run.info.run_id, status="RUNNING")
            tracked = TrackedRun(self, run.info.run_id, self._last_steps(run) if found else {})
            tracked.log_parameters({k: v for k, v in parameters.items() if k not in run.data.params})
        return tracked

    # Versions

    def register(self, package: ModelPackage, run_id: str | None = None) -> ModelVersion:
        """Upload a package as a new version; the version that already has its model.onnx is returned instead."""
        sha256 = file_sha256(package.model)
        if known := next((v for v in self.versions() if v.model_sha256 == sha256), None):
            return known
        with _errors(f"registering {package.preset!r} as {self.model_name}"):
            model_id, location = self._upload(package, sha256, run_id)
            tags = {
                SHA256: sha256,
                METRICS: json.dumps(dict(package.metrics), sort_keys=True),
                "ferline.preset": package.preset,
                "ferline.fingerprint": package.fingerprint,
            }
            made = self.client.create_model_version(
                self.model_name, source=location, run_id=run_id, tags=tags, model_id=model_id if run_id else None
            )
        return self.get(str(made.version))

    def versions(self) -> tuple[ModelVersion, ...]:
        """All versions, newest first."""
        with _errors(f"listing {self.model_name}"):
            aliases = self._aliases()
            found = self.client.search_model_versions(f"name = '{self.model_name}'") if aliases is not None else []
        records = [_record(version, aliases or {}) for version in found]
        return tuple(sorted(records, key=lambda record: int(record.version), reverse=True))

    def find(self, version: str) -> ModelVersion | None:
        """A version by number or alias, or None."""
        return next((v for v in self.versions() if version == v.version or version in v.aliases), None)

    def get(self, version: str) -> ModelVersion:
        """A version by number or alias; raises ModelNotFound."""
        found = self.find(version)
        if found is None:
            known = (
                ", ".join(" ".join((v.version, *(f"@{a}" for a in v.aliases))) for v in self.versions()) or "none yet"
            )
            raise ModelNotFound(f"{self.model_name} has no version or alias {version!r}; it has: {known}.")
        return found

    def set_alias(self, alias: str, version: str) -> None:
        with _errors(f"alias {alias!r} of {self.model_name}"):
            self.client.set_registered_model_alias(self.model_name, alias, version)

    def delete_alias(self, alias: str) -> None:
        with _errors(f"alias {alias!r} of {self.model_name}"):
            self.client.delete_registered_model_alias(self.model_name, alias)

    def set_tag(self, version: str, key: str, value: str) -> None:
        with _errors(f"tag {key!r} of {self.model_name} version {version}"):
            self.client.set_model_version_tag(self.model_name, version, key, value)

    def download(self, version: str, into: Path) -> Path:
        """A copy of a version, by number or alias, in that folder: model.onnx, MLmodel and extra_files/."""
        from mlflow.artifacts import download_artifacts

        number = self.get(version).version
        with _errors(f"artifacts of {self.model_name} version {number}"):
            uri = self.client.get_model_version_download_uri(self.model_name, number)
            return Path(download_artifacts(uri, dst_path=str(into), tracking_uri=self.tracking_uri))

    def _last_steps(self, run: "Run") -> dict[str, int]:
        names = [name for name in run.data.metrics if not name.startswith("system/")]
        histories = {name: self.client.get_metric_history(run.info.run_id, name) for name in names}
        return {name: max(metric.step for metric in history) for name, history in histories.items()}

    def _aliases(self) -> dict[str, str] | None:
        """Alias -> version; None while nothing is registered."""
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_registered_model(self.model_name).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return {alias: str(version) for alias, version in found.items()}

    def _upload(self, package: ModelPackage, sha256: str, run_id: str | None) -> tuple[str, str]:
        """Save in MLflow's form and upload; returns the logged model's id and the source for a version."""
        from mlflow.entities import LoggedModelOutput

        client = self.client
        if self._aliases() is None:
            client.create_registered_model(self.model_name)
        model = client.create_logged_model(self.experiment_id, package.preset, source_run_id=run_id, model_type="onnx")
        with tempfile.TemporaryDirectory() as scratch:
            folder = _save(package, sha256, Path(scratch), model.model_id, run_id)
            client.log_model_artifacts(model.model_id, str(folder))
        client.finalize_logged_model(model.model_id, "READY")
        if run_id:
            client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
            for name, value in package.metrics.items():
                client.log_metric(run_id, name, value, model_id=model.model_id)
        # On a database `models:/<id>` would be looked up in MLflow's global tracking URI (3.17); a server has its own.
        remote = self.tracking_uri.startswith("http")
        return model.model_id, f"models:/{model.model_id}" if remote else model.artifact_location


@dataclass
class TrackedRun:
    """An open run; a context manager that ends it: FAILED after an exception, unless `outcome` says otherwise."""

    registry: Registry
    run_id: str
    last_steps: dict[str, int]
    """Metric -> last step already logged, so that a resumed run repeats none."""
    outcome: RunStatus | None = None
    """Status to end with, such as KILLED for a training that was stopped early on purpose."""

    def __post_init__(self) -> None:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        uri = self.registry.tracking_uri
        self._monitor = SystemMetricsMonitor(self.run_id, resume_logging=True, tracking_uri=uri)
        self._monitor.start()

    def __enter__(self) -> "TrackedRun":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(self.outcome or ("FAILED" if kind else "FINISHED"))

    def log_parameters(self, parameters: Mapping[str, object]) -> None:
        """Flat name -> value; MLflow keeps 6,000 characters of each."""
        from mlflow.entities import Param

        pairs = [Param(name, str(value)) for name, value in parameters.items()]
        with _errors(f"parameters of run {self.run_id}"):
            for start in range(0, len(pairs), 100):  # MLflow takes 100 at a time
                self.registry.client.log_batch(self.run_id, params=pairs[start : start + 100])

    def log_epoch(self, values: Values) -> None:
        """One line of metrics.jsonl, visible at once; `epoch` is the step. An epoch already logged is left out."""
        step = int(values["epoch"])
        new = {name: v for name, v in values.items() if name != "epoch" and self.last_steps.get(name, -1) < step}
        self._log(new, step)
        self.last_steps.update(dict.fromkeys(new, step))

    def log_metrics(self, values: Values) -> None:
        """Figures of the whole run."""
        self._log(values, 0)

    def log_dataset(self, uri: str, info: DatasetInfo, context: str = "training") -> None:
        """The dataset version the run reads, by reference: no pixel is opened."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        profile = {"images": info.images, "counts": info.counts, "fingerprint": info.fingerprint}
        dataset = Dataset(
            name=f"{info.origin.kind} {info.name}",
            digest=info.fingerprint[:36],
            source_type="s3" if uri.startswith("s3://") else "local",
            source=json.dumps({"uri": uri}),
            profile=json.dumps(profile),
        )
        with _errors(f"dataset of run {self.run_id}"):
            tags = [InputTag("mlflow.data.context", context)]
            self.registry.client.log_inputs(self.run_id, [DatasetInput(dataset, tags)])

    def log_files(self, path: Path, folder: str | None = None) -> None:
        """Keep a picture, a table or a whole folder with the run."""
        log = self.registry.client.log_artifacts if path.is_dir() else self.registry.client.log_artifact
        with _errors(f"{path.name} of run {self.run_id}"):
            log(self.run_id, str(path), folder)

    def end(self, status: RunStatus) -> None:
        """Close the run; `track` with its key opens it again."""
        self._monitor.finish()
        with _errors(f"end of run {self.run_id}"):
            self.registry.client.set_terminated(self.run_id, status)

    def _log(self, values: Values, step: int) -> None:
        from mlflow.entities import Metric

        now = int(datetime.now(UTC).timestamp() * 1000)
        metrics = [Metric(name, float(value), now, step) for name, value in values.items()]
        with _errors(f"metrics of run {self.run_id}"):
            self.registry.client.log_batch(self.run_id, metrics=metrics)


def _record(version: Any, aliases: Mapping[str, str]) -> ModelVersion:
    tags = dict(version.tags)
    return ModelVersion(
        name=version.name,
        version=str(version.version),
        aliases=tuple(sorted(alias for alias, number in aliases.items() if number == str(version.version))),
        source_run=version.run_id or None,
        created_at=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).isoformat(timespec="milliseconds"),
        model_sha256=tags.pop(SHA256, ""),
        status=tags.pop(STATUS, ""),
        metrics=json.loads(tags.pop(METRICS, "{}")),
        tags=tags,
    )


def _save(package: ModelPackage, sha256: str, scratch: Path, model_id: str, run_id: str | None) -> Path:
    """MLflow's model folder: model.onnx byte for byte, signature, example, extra_files/. No pickle in it."""
    import numpy as np
    import onnx
    from mlflow.models import Model
    from mlflow.onnx import save_model

    extra = scratch / "extra"
    extra.mkdir()
    for name, source in package.extra_files.items():
        shutil.copyfile(source, extra / name)  # MLflow refuses links
    (extra / "package.json").write_text(package.describe(sha256))
    with np.load(package.examples, allow_pickle=False) as stored:
        example = stored["images"][:1]
    graph = onnx.load(str(package.model))
    save_model(
        graph,
        scratch / "model",
        mlflow_model=Model(model_uuid=model_id, run_id=run_id, model_id=model_id),
        signature=_signature(graph),
        input_example={"images": example},
        extra_files=[str(path) for path in sorted(extra.iterdir())],
        onnx_execution_providers=["CPUExecutionProvider"],
        pip_requirements=["numpy", "onnxruntime"],
        save_as_external_data=False,
    )
    (scratch / "model" / "model.onnx").write_bytes(package.model.read_bytes())  # its sha256 is the version's name
    return scratch / "model"


def _signature(graph: Any) -> Any:
    """Inputs and outputs of an ONNX graph, -1 for a free dimension."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec
    from onnx.helper import tensor_dtype_to_np_dtype

    def spec(value: Any) -> TensorSpec:
        tensor = value.type.tensor_type
        shape = tuple(dimension.dim_value or -1 for dimension in tensor.shape.dim)
        return TensorSpec(np.dtype(tensor_dtype_to_np_dtype(tensor.elem_type)), shape, name=value.name)

    inputs, outputs = ([spec(value) for value in values] for values in (graph.graph.input, graph.graph.output))
    return ModelSignature(Schema(inputs), Schema(outputs))
