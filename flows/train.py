"""train-pipeline: from raw files to a promoted champion, one line a stage."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from prefect import flow, get_run_logger
from prefect.client.schemas import State
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from components.dataset import INFO, file_sha256, open_dataset
from components.errors import ChampionChanged, RecipeError, TrainingError
from components.gate import Decision
from components.ingest.sources import SYNTHETIC
from components.labels import PUBLIC_TEST, TRAINING
from components.registry import reconcile
from components.registry.records import ModelVersion
from components.training import read_summary
from components.training.follow import Where
from components.training.recipes import compose
from components.training.records import Recipe, RunSummary
from flows.artifacts import publish_models
from flows.candidates import model_folder
from flows.context import code_version, fetch, promotion_lock, registry, settings, store
from flows.digests import training_code, validation_code
from flows.outcome import CandidateOutcome, Outcome, Verdict
from flows.parameters import DataParameters, PromotionParameters, TrainingParameters
from flows.places import outside_digest
from flows.report import report_task
from flows.summary import read_evaluation
from flows.tasks import (
    accept,
    accepted_before,
    balanced,
    gate_task,
    ingested,
    kept,
    policy_text,
    promote_task,
    register_task,
    reject_task,
    reuse,
    scored,
    take_in_task,
    train_task,
    validate_task,
)

MOST_STARTS = 4
"""A run whose worker dies is started again; one that kills its worker each time must end."""
MOST_SIDE_BY_SIDE = 64
"""Models of one run that train at the same time. A thread each, which waits for a child: on a cluster more of them
cost this machine little."""
JUDGEMENTS = 3
"""How often a challenger is judged while other runs keep changing the champion."""


@dataclass(frozen=True)
class Judgement:
    """What became of the best candidate."""

    verdict: Verdict
    decision_uri: str
    champion: str


@flow(name="train-pipeline", task_runner=ThreadPoolTaskRunner(max_workers=MOST_SIDE_BY_SIDE))  # type: ignore[arg-type]
def train_pipeline(
    data: DataParameters = DataParameters(),
    training: TrainingParameters = TrainingParameters(),
    promotion: PromotionParameters = PromotionParameters(),
) -> State[Outcome]:
    """Ingest, validate, balance, train, evaluate, gate, promote, report."""
    if flow_run.run_count > MOST_STARTS:
        raise TrainingError(f"this run's worker died {MOST_STARTS} times: its log or its memory may say why.")
    recipes = {preset: compose(preset, training.overrides, training.tiny) for preset in training.presets}
    elsewhere = _named(training.from_runs)
    dataset = ingested(data)
    validation = validated(dataset)
    taken = {name: reuse(take_in_task, folder, summary, dataset) for name, (folder, summary) in elsewhere.items()}
    runs = {**_train(recipes, dataset, training), **taken}
    if not runs:
        raise RecipeError("nothing to judge: name at least one preset or one finished run.")
    candidates = _evaluate(runs, dataset)
    judgement = _judge(candidates[0], dataset, promotion)
    outcome = Outcome(
        judgement.verdict, dataset, validation, candidates, judgement.decision_uri, judgement.champion, report=""
    )
    report = reuse(report_task, outcome, code_version("components/report", "flows/report.py"))
    outcome = replace(outcome, report=report)
    get_run_logger().info("%s; champion is version %s", outcome.verdict, outcome.champion or "none")
    return Completed(name=outcome.verdict, message=f"champion is version {outcome.champion or 'none'}", data=outcome)


def validated(dataset: str) -> str:
    """URI of what validation found in a dataset version that may be trained on; raises ValidationFailed."""
    uri = reuse(
        validate_task, dataset, policy_text("validation.yaml"), accepted_before(dataset), validation_code()
    )  # fmt: skip
    accept(dataset)
    return uri


def _train(recipes: dict[str, Recipe], dataset: str, training: TrainingParameters) -> dict[str, str]:
    """Preset -> URI of its run folder. A model is one task, also where a cluster trains them side by side."""
    samples = {preset: balanced(dataset, recipe) for preset, recipe in recipes.items()}
    code = training_code()
    where = _where(training, len(recipes))
    calls = {
        preset: (preset, recipe, dataset, samples[preset], code, outside_digest(recipe), where)
        for preset, recipe in recipes.items()
    }
    if training.side_by_side:
        futures: dict[str, PrefectFuture[str]] = {preset: train_task.submit(*call) for preset, call in calls.items()}
        for future in futures.values():  # one that fails ends none of the others
            future.wait()
        return {preset: kept(future.result(), train_task, *calls[preset]) for preset, future in futures.items()}
    return {preset: reuse(train_task, *call) for preset, call in calls.items()}


def _where(training: TrainingParameters, models: int) -> Where:
    """The cluster, or this machine and each model's share of its cores."""
    if training.backend == "ray":
        return Where(workers=training.workers, address=settings().ray_address)
    # Trainings that each take every core of a CPU slow one another down tenfold.
    return Where(max(1, (os.cpu_count() or 1) // models)) if training.side_by_side else Where()


def _named(folders: tuple[str, ...]) -> dict[str, tuple[str, RunSummary]]:
    """Preset and, in brackets, its folder's name -> a run that was trained elsewhere: folder and summary.

    Raises ModelNotFound for a folder that holds no finished run, RecipeError for two of one name.
    """
    named: dict[str, tuple[str, RunSummary]] = {}
    for folder in folders:
        summary = read_summary(Path(folder))
        name = f"{summary.preset} ({Path(folder).name})"
        if name in named:
            raise RecipeError(
                f"{named[name][0]} and {folder} would both be called {name!r}: name each run once, and give the "
                "folders names that differ."
            )
        named[name] = folder, summary
    return named


def _evaluate(runs: dict[str, str], dataset: str) -> tuple[CandidateOutcome, ...]:
    """Best macro-F1 on PublicTest first."""
    candidates = [CandidateOutcome(preset, run, scored(preset, run, dataset)) for preset, run in runs.items()]
    figures = {candidate.name: read_evaluation(candidate.evaluation_uri) for candidate in candidates}
    candidates.sort(key=lambda candidate: figures[candidate.name].figures.macro_f1, reverse=True)
    publish_models([figures[candidate.name] for candidate in candidates])
    return tuple(candidates)


def _judge(best: CandidateOutcome, dataset: str, promotion: PromotionParameters) -> Judgement:
    """The gate, and what follows from it; once more where another run made its model champion meanwhile."""
    for _ in range(JUDGEMENTS - 1):
        try:
            return _judge_once(best, dataset, promotion)
        except ChampionChanged as error:
            get_run_logger().warning("%s It is judged again.", error)
    return _judge_once(best, dataset, promotion)


def _judge_once(best: CandidateOutcome, dataset: str, promotion: PromotionParameters) -> Judgement:
    """Against the champion of this moment; nothing where the best model is the champion already."""
    champion = reconcile(registry(), store(), lock_folder=promotion_lock())
    if champion and champion.model_sha256 == file_sha256(model_folder(best.run_uri).onnx):
        return Judgement("Unchanged", champion.tags.get("ferline.decision", ""), champion.version)
    new_data, learned = _on_new_data(best, champion, promotion.new_data), _learned(champion, dataset)
    if champion and learned:
        get_run_logger().warning(
            "champion %s has learned %d of the test images, so its figures flatter it: a source is split anew with "
            "another --held-out. What loses to it may be no worse.", champion.version, learned,
        )  # fmt: skip
    decision = gate_task(best.name, best.run_uri, best.evaluation_uri, *_opponent(champion, dataset), new_data, learned)
    version = register_task(best.run_uri, best.evaluation_uri, dataset, decision, promotion.new_data)
    hindrance = _hindrance(version, champion, dataset)
    if promotion.promote and hindrance:
        get_run_logger().warning("%s: version %s waits.", hindrance, version)
        promotion = replace(promotion, promote=False)
    return _carry_out(version, decision, champion, promotion)


def _hindrance(version: str, champion: ModelVersion | None, dataset: str) -> str:
    """Why a version that passes the gate becomes no champion by itself, in words; empty where it may."""
    if registry().get(version).status == "rolled-back":
        return f"it was rolled back (`ferline models promote {version} --force --reason WHY` promotes it all the same)"
    if champion and _is_drawn(dataset) and not _is_drawn(champion.dataset):
        return (
            "drawn faces alone make no model champion where one that, as far as is known, has learned from photographs "
            "is it"
        )
    return ""


def _is_drawn(dataset: str) -> bool:
    """Whether ferline drew the faces of a dataset version, by URI or name, or of what it grew from.

    No for one that is not in the store.
    """
    name = f"datasets/{PurePosixPath(dataset).name}/{INFO}"
    if not store().exists(name):
        return False
    origin = json.loads(store().read_bytes(name))["origin"]
    base = origin["options"].get("base", "")
    return origin["kind"] == SYNTHETIC or bool(base and _is_drawn(base[:16]))


def _opponent(champion: ModelVersion | None, dataset: str) -> tuple[str | None, str | None]:
    """The champion's version and its figures on this run's test images."""
    if champion is None:
        return None, None
    return champion.version, scored("champion", f"models:/{champion.version}", dataset)


def _learned(champion: ModelVersion | None, dataset: str) -> int:
    """How many test images of a dataset version the champion was trained on, by another split of the same source.

    Copies of what its own dataset holds for tests do not count; nor does anything where that is not in the store.
    """
    if champion is None or not champion.dataset or champion.dataset == PurePosixPath(dataset).name:
        return 0
    place = f"datasets/{champion.dataset}"
    if not store().exists(place):
        return 0
    theirs, ours = (open_dataset(fetch(uri)).manifest for uri in (place, dataset))
    training = theirs["split"] == TRAINING
    learned = set(theirs.loc[training, "sha256"]) - set(theirs.loc[~training, "sha256"])
    return int(ours.loc[ours["split"] == PUBLIC_TEST, "sha256"].isin(learned).sum())


def _on_new_data(best: CandidateOutcome, champion: ModelVersion | None, uri: str) -> tuple[str, str] | None:
    """The best candidate's and the champion's figures on held-back new images, where there are both."""
    if not uri or champion is None:
        return None
    models = {f"{best.name} on new data": best.run_uri, "champion on new data": f"models:/{champion.version}"}
    ours, theirs = (scored(name, model, uri) for name, model in models.items())
    return ours, theirs


def _carry_out(
    version: str, decision_uri: str, champion: ModelVersion | None, promotion: PromotionParameters
) -> Judgement:
    decision = Decision.from_json(store().read_bytes(decision_uri).decode())
    held = champion.version if champion else ""
    if decision.verdict == "reject":
        reject_task(version, decision_uri)
        return Judgement("Rejected", decision_uri, held)
    if not promotion.promote:
        return Judgement("Waiting", decision_uri, held)
    return Judgement("Promoted", decision_uri, promote_task(version, decision_uri))
