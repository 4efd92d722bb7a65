"""retrain: the champion's recipe on its own data and what people have labelled since, through train-pipeline."""

import shutil
from datetime import UTC, datetime
from typing import cast

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.assets import materialize
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.states import Completed

from components.dataset import open_dataset
from components.errors import DatasetOutdated
from components.ingest import extend, new_faces
from components.journal import lineage
from components.registry import CHAMPION, ModelVersion
from components.training.recipes import assignments, from_json, load_preset
from flows import retrainings
from flows.context import artifact, drift_policy, fetch, journal, registry, store, work_folder
from flows.feedback import labelled_faces
from flows.notify import notify
from flows.outcome import NewData, Outcome, RetrainOutcome
from flows.parameters import DataParameters, PromotionParameters, RetrainParameters, TrainingParameters
from flows.tasks import DATASETS, can_help
from flows.train import train_pipeline


@flow(name="retrain")
def retrain(trigger: RetrainParameters = RetrainParameters()) -> State[RetrainOutcome]:
    """Ask whether it may, make the data, train, judge."""
    champion = registry().find(CHAMPION)
    if champion is None:
        return _ended(RetrainOutcome("NoChampion", "there is no champion to go on from: run train-pipeline"))
    before = retrainings.started(store())
    hindrance = retrainings.hindrance(before, drift_policy().retrain, datetime.now(UTC))
    if hindrance and not trigger.at_once:
        return _ended(RetrainOutcome("CoolingDown", f"not now: {hindrance}"))
    try:
        made = new_data_task(champion)
        if isinstance(made, str):
            notify("ferline: nothing to retrain with", made, "warning")
            return _ended(RetrainOutcome("NoImages", made))
        if not retrainings.start(store(), before, trigger.reason, champion.version, made.dataset_uri):
            return _ended(RetrainOutcome("CoolingDown", "not now: another retraining has started meanwhile"))
        return _ended(_carry_out(champion, made, trigger))
    except Exception as error:
        notify("ferline: a retraining failed", f"{trigger.reason}: {error}", "failure")
        raise


@materialize(
    DATASETS, name="new data", retries=2, retry_delay_seconds=[5, 30], retry_condition_fn=can_help,
    cache_policy=NO_CACHE, timeout_seconds=3600,
)  # fmt: skip
def new_data_task(champion: ModelVersion) -> NewData | str:
    """The champion's dataset with the labelled images of production, and those held back; or why there is none."""
    mark = lineage.begin(store())
    try:
        return _new_data(champion, mark)
    finally:
        store().delete(mark)


def _new_data(champion: ModelVersion, mark: str) -> NewData | str:
    policy, log = drift_policy().retrain, journal()
    log.bring()
    labelled = labelled_faces(log.logbook)
    without = f"{labelled.without_picture} labels have no picture: set FERLINE_LOG_PIXELS to keep pictures"
    if labelled.faces is None:
        return (
            f"no images to learn from: {without if labelled.without_picture else 'nobody has labelled an answer yet'}"
        )
    base_uri = f"datasets/{champion.dataset}"
    if not store().exists(base_uri):
        return (
            f"no images to add to: dataset {base_uri} of champion {champion.version} is not in this store, as of a "
            "model that was imported; train one here with train-pipeline first"
        )
    base = open_dataset(fetch(base_uri))
    fresh = new_faces(base, labelled.faces)
    new = len(set(fresh.ids) - lineage.learned(store()))  # those held back before are in no base
    known = len(labelled.faces.ids) - new
    if new < policy.images:
        return f"no images to learn from: {new} new ones, {policy.images} are needed; {known} are known already" + (
            f"; {without}" if labelled.without_picture else ""
        )
    made = extend(base, fresh, policy.held_back, work_folder("ingest"))
    versions, fingerprint, ids = (made.dataset, made.held_back), made.dataset.info.fingerprint, list(made.ids)
    names = [f"datasets/{version.info.name}" for version in versions]
    lineage.note(store(), fingerprint, names, ids)  # before they are there: after a kill a deletion finds them
    uris = [store().put_folder(version.folder, name) for version, name in zip(versions, names, strict=True)]
    lineage.note(store(), fingerprint, uris, ids)
    for version in versions:
        shutil.rmtree(version.folder)
    if not store().exists(mark):
        lineage.discard(store(), fingerprint)
        raise DatasetOutdated("a prediction was deleted while the dataset was made of it; it is made anew without it.")
    get_run_logger().info("%d images added, %d held back, %d known already", made.added, made.kept_back, known)
    return NewData(uris[0], made.dataset.info.fingerprint, uris[1], made.added, made.kept_back)


@task(name="champion's recipe", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def recipe_task(champion: ModelVersion) -> tuple[str, tuple[str, ...]]:
    """Its preset, and what was set differently."""
    preset = champion.tags["ferline.preset"].partition(" ")[0]  # `compact (taken in)` is a compact
    text = (artifact(champion) / "extra_files" / "recipe.json").read_text()
    return preset, tuple(assignments(load_preset(preset), from_json(text)))


def _carry_out(champion: ModelVersion, made: NewData, trigger: RetrainParameters) -> RetrainOutcome:
    preset, overrides = recipe_task(champion)
    state = train_pipeline(
        DataParameters(source=made.dataset_uri),
        TrainingParameters(presets=(preset,), overrides=overrides),
        PromotionParameters(promote=trigger.promote, new_data=made.held_back_uri),
        return_state=True,
    )
    outcome = cast(Outcome, state.result())
    message = (
        f"{outcome.verdict.lower()} after {made.added} images more ({trigger.reason}); champion is version "
        f"{outcome.champion or 'none'}"
    )
    notify(f"ferline: retraining {outcome.verdict.lower()}", message, "success")
    return RetrainOutcome(outcome.verdict, message, made, outcome)


def _ended(outcome: RetrainOutcome) -> State[RetrainOutcome]:
    get_run_logger().info(outcome.message)
    create_markdown_artifact(key="retraining", markdown=f"# {outcome.ending}\n\n{outcome.message}")
    return Completed(name=outcome.ending, message=outcome.message, data=outcome)
