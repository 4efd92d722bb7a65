"""The stages as Prefect tasks: a component call and an artifact each.

Every task takes and gives URIs; its result is kept under its inputs, its own lines and the digest `code` of the rooms it
calls, so a second run repeats only what changed.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from prefect import Task, get_run_logger, task
from prefect.assets import Asset, materialize
from prefect.cache_policies import INPUTS, TASK_SOURCE

from components.balancing import Sample, build_sample
from components.dataset import Dataset, open_dataset, read_info
from components.evaluation import Evaluation, evaluate
from components.gate import Decision, EvaluatedModel, decide
from components.gate import load_policy as load_gate_policy
from components.ingest import IngestOptions, ingest_to_store
from components.labels import PUBLIC_TEST
from components.training.records import Recipe, RunSummary
from components.validation import ValidationReport, load_policy, require_passed, validate
from flows import artifacts
from flows.context import code_version, fetch, registry, settings, store, work_folder
from flows.follow import run_training
from flows.parameters import DataParameters

CACHED: dict[str, Any] = {"cache_policy": INPUTS + TASK_SOURCE, "persist_result": True, "result_serializer": "json"}
ROOT = Path(__file__).parents[1]
DATASETS, MODELS, REPORTS = (Asset(key=f"ferline://{name}") for name in ("datasets", "models", "reports"))


@dataclass(frozen=True)
class Candidate:
    """One trained model of a run, by reference."""

    name: str
    run_uri: str
    evaluation_uri: str


T = TypeVar("T")


def reuse(stage: Task[..., str], *inputs: object) -> str:
    """Run a cached task; a hit whose artifact is gone from the store is run again."""
    uri = stage(*inputs)
    return uri if store().exists(uri) else stage.with_options(refresh_cache=True)(*inputs)


@materialize(DATASETS, name="ingest", retries=2, retry_delay_seconds=5, timeout_seconds=3600, **CACHED)
def ingest_task(data: DataParameters, stamp: str, code: str) -> str:
    """Source -> URI of a dataset version."""
    options = IngestOptions(skip_bad=data.skip_bad, held_out=data.held_out, size=data.image_size)
    uri, info = ingest_to_store(data.source, store(), work_folder("ingest"), options)
    get_run_logger().info("dataset %s: %d images", info.name, info.images)
    artifacts.publish_counts(info.counts)
    return uri


@task(name="validate", timeout_seconds=1800, **CACHED)
def validate_task(dataset_uri: str, policy: str, last_accepted: str | None, code: str) -> str:
    """Dataset version -> URI of a validation folder: report.json, data docs, pairs of near-duplicates."""
    folder = fetch(dataset_uri)
    name = f"validation/{read_info(folder).name}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    out = work_folder(name)
    accepted = read_info(fetch(last_accepted)) if last_accepted else None
    report = validate(open_dataset(folder), load_policy(json.loads(policy)), out, accepted)
    artifacts.publish_findings(report)
    return store().put_folder(out, name)


@task(name="balance", timeout_seconds=600, **CACHED)
def balance_task(dataset_uri: str, recipe: Recipe, code: str) -> str:
    """Dataset version -> URI of a folder with sample.npz."""
    _, sample = build_sample(open_dataset(fetch(dataset_uri)), recipe.data, recipe.balance, recipe.seed)
    name = f"samples/{sample.digest[:16]}"
    out = work_folder(name)
    sample.save(out / "sample.npz")
    return store().put_folder(out, name)
