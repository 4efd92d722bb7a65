"""The stages as Prefect tasks: a component call and an artifact each.

Tasks take and give URIs. A result is kept under its inputs, the task's own lines and `code`, the digest of the rooms it
calls, so a second run repeats only what changed.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock, Timeout
from prefect import Task, get_run_logger, task
from prefect.assets import Asset, materialize
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.client.schemas import State, TaskRun

from components.balancing import build_sample
from components.dataset import INFO, file_sha256, open_dataset, read_info
from components.errors import DataError, GateError, ModelNotFound, RecipeError, TrainingHopeless
from components.evaluation.evaluate import evaluate
from components.evaluation.records import Evaluation
from components.gate import Decision, EvaluatedModel, decide
from components.gate import load_policy as load_gate_policy
from components.ingest import IngestOptions, ingest_to_store
from components.journal import lineage
from components.labels import PUBLIC_TEST
from components.registry import TrackedRun, build_package, promote, register, reject
from components.search.records import Pruned
from components.training import read_epochs
from components.training.follow import Where, run_training
from components.training.recipes import flat, read_recipe
from components.training.records import Recipe, RunSummary
from components.validation import require_passed, validate
from flows import artifacts
from flows.candidates import VERSION, complete, evaluated, model_folder
from flows.context import (
    fetch,
    pretrained_folder,
    promotion_lock,
    registry,
    settings,
    source_stamp,
    store,
    validation_policy,
    work_folder,
)
from flows.digests import balancing_code, evaluation_code, ingest_code
from flows.parameters import DataParameters
from flows.places import data_here, excluded_digest, outside_digest, places

CACHED: dict[str, Any] = {"cache_policy": INPUTS + TASK_SOURCE, "persist_result": True, "result_serializer": "json"}
DATASETS, MODELS = Asset(key="ferline://datasets"), Asset(key="ferline://models")
WHO = "train-pipeline"


def can_help(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether a retry can: not where the input itself is wrong, nor where a training would end the same way."""
    try:
        state.result()
    except (DataError, RecipeError, ModelNotFound, GateError, TrainingHopeless):
        return False
    except Exception:
        return True
    return False


AGAIN: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [5, 20], "retry_condition_fn": can_help}
"""For every stage: each may be repeated, and what a killed one left half done is finished or made anew."""


def reuse(stage: Task[..., str], *inputs: object) -> str:
    """Run a cached task; a hit whose artifact is gone from the store is run again."""
    return kept(stage(*inputs), stage, *inputs)


def kept(uri: str, stage: Task[..., str], *inputs: object) -> str:
    """What a cached task came to; run again where the artifact is gone from the store."""
    return uri if store().exists(uri) else stage.with_options(refresh_cache=True)(*inputs)


def ingested(data: DataParameters) -> str:
    """URI of the dataset version that a source makes; a source that did not change is not read again."""
    return reuse(ingest_task, data, source_stamp(data.source), ingest_code())


def balanced(dataset: str, recipe: Recipe) -> str:
    """URI of the balanced sample that a recipe draws from a dataset version."""
    return reuse(balance_task, dataset, recipe, excluded_digest(recipe), balancing_code())


def scored(name: str, model: str, dataset: str) -> str:
    """URI of a model's evaluation on PublicTest: of this very graph, as a registry made anew counts from 1 again."""
    return reuse(evaluate_task, name, model, file_sha256(model_folder(model).onnx), dataset, evaluation_code())


@materialize(DATASETS, name="ingest", timeout_seconds=24 * 3600, **CACHED, **AGAIN)
def ingest_task(data: DataParameters, stamp: str, code: str) -> str:
    """Source -> URI of a dataset version; one that is a version already stays as it is."""
    if data.source.startswith("s3://") or (Path(data.source).expanduser() / INFO).is_file():
        artifacts.publish_counts(read_info(fetch(data.source)).counts)
        return data.source
    options = IngestOptions(skip_bad=data.skip_bad, held_out=data.held_out, size=data.image_size)
    uri, info = ingest_to_store(data.source, store(), work_folder("ingest"), options)
    get_run_logger().info("dataset %s: %d images", info.name, info.images)
    artifacts.publish_counts(info.counts)
    return uri


@task(name="validate", timeout_seconds=6 * 3600, **CACHED, **AGAIN)
def validate_task(dataset_uri: str, policy: str, last_accepted: str | None, code: str) -> str:
    """Dataset version -> URI of a folder with report.json, data docs and pairs of near-duplicates."""
    folder = fetch(dataset_uri)
    accepted = read_info(fetch(last_accepted)) if last_accepted else None
    key = hashlib.sha256(f"{dataset_uri} {policy} {last_accepted} {code}".encode()).hexdigest()[:16]
    out = work_folder(f"validation/{key}")
    report = validate(open_dataset(folder), validation_policy(), out, accepted)
    uri = store().put_folder(out, f"validation/{key}")
    shutil.rmtree(out)
    artifacts.publish_validation(report, uri)
    require_passed(report)
    return uri


@task(name="balance", timeout_seconds=600, **CACHED, **AGAIN)
def balance_task(dataset_uri: str, recipe: Recipe, excluded: str, code: str) -> str:
    """Dataset version -> URI of a folder with sample.npz. excluded: digest of the exclusion list."""
    _, sample = build_sample(open_dataset(fetch(dataset_uri)), data_here(recipe), recipe.balance, recipe.seed)
    name = f"samples/{sample.digest[:16]}"
    out = work_folder(name)
    sample.save(out / "sample.npz")
    return store().put_folder(out, name)


@task(
    name="train",
    task_run_name="train {preset}",
    timeout_seconds=7 * 24 * 3600,
    **{**CACHED, "cache_policy": INPUTS - "where" + TASK_SOURCE},
    **AGAIN,
)
def train_task(
    preset: str, recipe: Recipe, dataset_uri: str, sample_uri: str, code: str, outside: str, where: Where | None = None
) -> str:
    """Train in a child process, followed live by MLflow; URI of the run folder. A killed run goes on by itself.

    outside: digest of what the recipe names outside of it.
    """
    return train_run(preset, recipe, dataset_uri, sample_uri, code, where or Where())


def train_run(
    preset: str,
    recipe: Recipe,
    dataset_uri: str,
    sample_uri: str,
    code: str,
    where: Where,
    parent: str = "",
    watch: Callable[[Mapping[str, float]], None] = lambda _: None,
) -> str:
    """Train and put the run folder into the store; a run that was killed goes on.

    One that lies in the store already is taken, whoever trained it. Where another process of this machine trains the
    same, its run is waited for: a flow run that was held for dead, and lives, must not work in one folder with the one
    that goes on for it.
    parent: MLflow run below which it is shown; watch: told of each epoch, and may end the training by Pruned.
    """
    data, sample = fetch(dataset_uri), fetch(sample_uri) / "sample.npz"
    info, out = read_info(data), run_folder(recipe, dataset_uri, sample_uri, code)
    key, asked = out.name, work_folder("recipes") / f"{out.name}.json"
    asked.write_text(recipe.to_json())

    def epoch(values: Mapping[str, float]) -> None:
        run.log_epoch(values)
        try:
            watch(values)
        except Pruned:
            run.outcome = "KILLED"
            raise

    with _alone(key):
        uri = f"{store().uri}/runs/{key}"
        if store().exists(uri):
            for line in read_epochs(fetch(uri)):
                watch(line)
            return uri
        with registry().track(key, preset, {"preset": preset, **flat(recipe)}, parent) as run:
            run.log_dataset(dataset_uri, info)
            run_training(asked, preset, data, sample, out, get_run_logger().info, epoch, where, places(recipe),
                         pretrained_folder(code))  # fmt: skip
            _log_run(run, out, preset)
        uri = store().put_folder(out, f"runs/{key}")
        shutil.rmtree(out)
    return uri


@contextmanager
def _alone(key: str) -> Iterator[None]:
    """Be the only one of this machine that trains this; another one is waited for."""
    lock = FileLock(work_folder("training") / f"{key}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        get_run_logger().warning("another process trains %s already: waiting for it", key)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def run_folder(recipe: Recipe, dataset_uri: str, sample_uri: str, code: str) -> Path:
    """Where a training works, named by all that decides its outcome."""
    fingerprint, sample = read_info(fetch(dataset_uri)).fingerprint, file_sha256(fetch(sample_uri) / "sample.npz")
    decides = filter(None, (recipe.to_json(), fingerprint, sample, code, outside_digest(recipe)))
    return settings().runs / hashlib.sha256(" ".join(decides).encode()).hexdigest()[:16]


@task(name="take in", task_run_name="take in {folder}", timeout_seconds=3600, **CACHED, **AGAIN)
def take_in_task(folder: str, summary: RunSummary, dataset_uri: str) -> str:
    """A run that another machine trained -> its URI in the store; checked, and recorded in MLflow as one of ours."""
    source, info = Path(folder), read_info(fetch(dataset_uri))
    if summary.fingerprint != info.fingerprint:
        raise DataError(
            f"{folder} was trained on dataset {summary.fingerprint[:16]}, this run is about {info.name}: name the "
            "source it was trained on."
        )
    if summary.model_sha256 and file_sha256(source / "model.onnx") != summary.model_sha256:
        raise DataError(f"{source / 'model.onnx'} is not what the run's summary.json says: copy the folder again.")
    key = f"in-{(summary.model_sha256 or file_sha256(source / 'model.safetensors'))[:16]}"
    out = work_folder(f"taken/{key}")
    shutil.copytree(source, out, dirs_exist_ok=True)
    complete(out, dataset_uri)
    with registry().track(key, summary.preset, {"preset": summary.preset, **flat(read_recipe(out))}) as run:
        run.log_dataset(dataset_uri, info)
        for line in read_epochs(out):
            run.log_epoch(line)
        _log_run(run, out, summary.preset)
    uri = store().put_folder(out, f"runs/{key}")
    shutil.rmtree(out)
    return uri


def _log_run(run: TrackedRun, out: Path, preset: str) -> None:
    """A finished run folder's cost, pictures and files to MLflow; the folder remembers the MLflow run."""
    from components.evaluation.figures import curves_png  # matplotlib: 0.5 s

    summary = RunSummary.from_json((out / "summary.json").read_text())
    run.log_metrics(summary.cost)
    epochs = read_epochs(out)
    (out / "curves.png").write_bytes(curves_png(epochs, preset))
    for name in ("recipe.json", "summary.json", "environment.json", "curves.png"):
        run.log_files(out / name)
    (out / "mlflow_run").write_text(run.run_id)


@task(name="evaluate", task_run_name="evaluate {name}", timeout_seconds=6 * 3600, **CACHED, **AGAIN)
def evaluate_task(name: str, model_uri: str, model_sha256: str, dataset_uri: str, code: str) -> str:
    """Score a model on PublicTest; URI of an evaluation folder, whose name begins with its graph's sha256."""
    folder = model_folder(model_uri)
    dataset = open_dataset(fetch(dataset_uri))
    called = hashlib.sha256(name.encode()).hexdigest()[:8]  # the name stands in the pictures
    key = f"{model_sha256[:16]}-{dataset.info.name}-{PUBLIC_TEST}-{code}-{called}"
    out = work_folder("evaluations") / key
    shutil.rmtree(out, ignore_errors=True)
    evaluation = evaluate(folder.onnx, dataset, PUBLIC_TEST, out, name, folder.temperature)
    uri = store().put_folder(out, f"evaluations/{key}")
    shutil.rmtree(out)
    artifacts.publish_evaluation(evaluation, fetch(uri))
    if not model_uri.startswith(VERSION):  # a registered version has its own already
        _log_evaluation(name, model_uri, evaluation, fetch(uri))
    return uri


def _log_evaluation(name: str, run_uri: str, evaluation: Evaluation, folder: Path) -> None:
    """Figures and pictures to the MLflow run that trained the model."""
    if not (fetch(run_uri) / "mlflow_run").exists():
        return
    with registry().track(PurePosixPath(run_uri).name, name, {}) as run:
        figures = evaluation.figures
        run.log_metrics({"public_test_macro_f1": figures.macro_f1, "public_test_accuracy": figures.accuracy})
        for file in ("evaluation.json", "confusion.png", "reliability.png"):
            run.log_files(folder / file)


@task(name="gate", timeout_seconds=600, **AGAIN)
def gate_task(
    name: str,
    run_uri: str,
    evaluation_uri: str,
    champion: str | None,
    champion_evaluation: str | None,
    new_data: tuple[str, str] | None = None,
    champion_learned: int = 0,
) -> str:
    """Challenger against champion on the same test images; URI of the decision.

    new_data: URIs of the two's evaluations on new labelled images. champion_learned: test images that the champion was
    trained on.
    """

    def against(uri: str | None) -> EvaluatedModel | None:
        return evaluated("champion", f"models:/{champion}", uri, champion) if uri else None

    challenger, fresh = evaluated(name, run_uri, evaluation_uri, None), None
    if new_data:
        theirs = against(new_data[1])
        fresh = (evaluated(name, run_uri, new_data[0], None), theirs) if theirs else None
    policy = load_gate_policy(settings().policy / "gate.yaml")
    decision = decide(
        challenger, against(champion_evaluation), policy, new_data=fresh, champion_learned=champion_learned
    )
    artifacts.publish_decision(decision)
    text = decision.to_json()
    return store().put_bytes(f"decisions/{hashlib.sha256(text.encode()).hexdigest()[:16]}.json", text.encode())


@materialize(MODELS, name="register", timeout_seconds=1800, **AGAIN)
def register_task(run_uri: str, evaluation_uri: str, dataset_uri: str, decision_uri: str, new_data: str = "") -> str:
    """Put the challenger with all that belongs to it into the registry; its version. new_data: a retraining's."""
    run = fetch(run_uri)
    decision = Decision.from_json(store().read_bytes(decision_uri).decode())
    out = work_folder(f"packages/{run.name}")
    fresh = open_dataset(fetch(new_data)) if new_data else None
    dataset = open_dataset(fetch(dataset_uri))
    lineage.mark_trained(store(), dataset.info.fingerprint)  # first: a kill must not come between
    package = build_package(run, fetch(evaluation_uri), dataset, out, decision, fresh)
    run_id = (run / "mlflow_run").read_text() if (run / "mlflow_run").exists() else None
    made = register(
        registry(),
        store(),
        package,
        who=WHO,
        lock_folder=promotion_lock(),
        run_id=run_id,
        decision_uri=decision_uri,
    )
    return made.version


@task(name="promote", timeout_seconds=1800, **AGAIN)
def promote_task(version: str, decision_uri: str) -> str:
    """Make a version champion on the strength of its decision; the version."""
    decision = Decision.from_json(store().read_bytes(decision_uri).decode())
    entry = promote(
        registry(), store(), version=version, decision=decision, decision_uri=decision_uri, who=WHO,
        lock_folder=promotion_lock(),
    )  # fmt: skip
    return entry.to_version


@task(name="reject", timeout_seconds=600, **AGAIN)
def reject_task(version: str, decision_uri: str) -> str:
    """Keep a challenger that failed the gate, and mark it."""
    decision = Decision.from_json(store().read_bytes(decision_uri).decode())
    reject(
        registry(), store(), version=version, decision=decision, decision_uri=decision_uri, who=WHO,
        lock_folder=promotion_lock(),
    )  # fmt: skip
    return version


def accepted_before(dataset_uri: str) -> str | None:
    """The dataset version accepted last, other than this one: a second run then has the same inputs."""
    known = _accepted()
    return known.get("previous") if known.get("current") == dataset_uri else known.get("current")


def accept(dataset_uri: str) -> None:
    """Remember a dataset version that passed validation."""
    if _accepted().get("current") != dataset_uri:
        record = {"schema_version": 1, "current": dataset_uri, "previous": accepted_before(dataset_uri)}
        store().put_bytes("accepted.json", json.dumps(record).encode())


def _accepted() -> dict[str, str]:
    known: dict[str, str] = json.loads(store().read_bytes("accepted.json")) if store().exists("accepted.json") else {}
    return known


def policy_text(name: str) -> str:
    """A policy file's text, which is part of a cache key."""
    return (settings().policy / name).read_text()
