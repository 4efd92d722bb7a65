"""hyperparameter-search: recipes tried one after another, or side by side on a cluster; the best becomes a preset."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.states import Completed

from components.errors import RecipeError, TrainingError
from components.registry import TrackedRun
from components.search.pictures import draw
from components.search.records import Pruned, Trial, assignments, parse_space
from components.search.study import Asked, Study, alone
from components.training import read_epochs
from components.training.follow import Where
from components.training.recipes import compose, flat, override, places_here, preset_source
from components.training.records import Recipe
from flows.context import fetch, pretrained_folder, registry, settings, store, work_folder
from flows.digests import balancing_code, evaluation_code, training_code
from flows.outcome import SearchOutcome
from flows.parameters import DataParameters, SearchParameters
from flows.places import outside_digest, places
from flows.summary import read_evaluation
from flows.tasks import AGAIN, balanced, ingested, run_folder, scored, train_run
from flows.train import validated

if TYPE_CHECKING:
    from components.cluster.tune import Searched, Tried

BEST, TRIALS, TABLE = "preset.py", "trials.json", "trials.md"
LOST = 3
"""Trials that may fail on end before the search gives up."""


@flow(name="hyperparameter-search")
def hyperparameter_search(
    data: DataParameters = DataParameters(), search: SearchParameters = SearchParameters()
) -> State[SearchOutcome]:
    """Ingest, validate, then train and score recipes from the space; choices go by macro-F1 on PublicTest alone."""
    base = compose(search.preset, search.overrides, search.tiny)
    space = parse_space(base, search.space)
    dataset = ingested(data)
    validated(dataset)
    name = study_name(search, base, dataset)
    file = work_folder("searches") / f"{name}.log"
    with alone(file), registry().track(f"search-{name}", f"search {search.preset}", asdict(search)) as parent:
        study = Study(file, name, space, search.seed, search.prune)
        if search.backend == "ray":
            _side_by_side(study, base, dataset, search, parent, name)
        else:
            _one_by_one(study, base, dataset, search, parent)
        place = _keep(study, base, search, parent)
    best = study.best()
    _publish(study, best)
    outcome = SearchOutcome(name, study.trials(), best, place)
    said = f"macro-F1 {best.macro_f1:.4f} in trial {best.number}" if best else "no trial was completed"
    return Completed(name="Searched", message=said, data=outcome)


def study_name(search: SearchParameters, base: Recipe, dataset: str) -> str:
    """The same search of the same data from the same recipe goes on where it was, whatever its length."""
    same = {key: value for key, value in asdict(search).items() if key not in ("trials", "workers")}
    code = (balancing_code(), training_code(), evaluation_code())
    text = json.dumps([dataset, same, base.to_json(), outside_digest(base), *code])
    return f"{search.preset}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _one_by_one(study: Study, base: Recipe, dataset: str, search: SearchParameters, parent: TrackedRun) -> None:
    """Trial after trial; one that fails is put on record, three on end stop the search."""
    lost = 0
    while study.done < search.trials:
        asked = study.ask()
        try:
            _try(asked, base, dataset, search, parent.run_id)
            lost = 0
        except (TrainingError, RecipeError) as error:
            asked.fail()
            lost += 1
            get_run_logger().warning("trial %d failed: %s", asked.number, error)
            if lost == LOST:
                raise


def _side_by_side(
    study: Study, base: Recipe, dataset: str, search: SearchParameters, parent: TrackedRun, name: str
) -> None:
    """What is missing, on the cluster; then on record here and in MLflow."""
    from components.cluster.tune import Searched

    missing = search.trials - study.done
    if missing < 1:
        return
    what = Searched(
        name, search.preset, base, fetch(dataset), settings().runs, places_here(base) | places(base),
        pretrained_folder(training_code()),
    )  # fmt: skip
    state = work_folder("searches") / f"{name}.ray"
    begun = state.exists()
    for tried in tune_task(what, study, missing, search, state):
        if tried.id not in study.ids:
            _keep_trial(tried, base, search.preset, parent.run_id)
            study.add(tried.trial, tried.id)
        shutil.rmtree(tried.run, ignore_errors=True)
    shutil.rmtree(state)
    if begun:  # perhaps by a search that was to be shorter
        _side_by_side(study, base, dataset, search, parent, name)


@task(name="trials on Ray", timeout_seconds=7 * 24 * 3600, cache_policy=NO_CACHE, **AGAIN)
def tune_task(what: "Searched", study: Study, missing: int, search: SearchParameters, state: Path) -> list["Tried"]:
    """All trials that are missing, as one job of the cluster; a second try goes on with them."""
    from components.cluster.tune import search_on_ray

    place, past = settings().ray_address, study.trials()
    return search_on_ray(what, study.space, missing, search.workers, place, state, search.seed, past, search.prune)


def _keep_trial(tried: "Tried", base: Recipe, preset: str, parent: str) -> None:
    """A trial of the cluster as a run below the search's in MLflow; what is no recipe was no run."""
    try:
        recipe = override(base, tried.trial.assignments)
    except RecipeError:
        return
    with registry().track(f"{parent}-{tried.id}", preset, flat(recipe), parent) as run:
        for line in read_epochs(tried.run):
            run.log_epoch(line)
        if tried.trial.state == "pruned":
            run.outcome = "KILLED"
        elif tried.trial.state == "failed":
            run.outcome = "FAILED"
        if tried.trial.macro_f1 is not None:
            run.log_metrics({"public_test_macro_f1": tried.trial.macro_f1})


def _try(asked: Asked, base: Recipe, dataset: str, search: SearchParameters, parent: str) -> None:
    """Train and score one choice, unless it is stopped early. Raises TrainingError, RecipeError."""
    try:
        recipe = override(base, assignments(asked.values))
    except RecipeError as error:  # the values do not go together; another choice may
        asked.prune()
        get_run_logger().warning("trial %d is no recipe: %s", asked.number, error)
        return
    uri = trial_task(asked, search.preset, recipe, dataset, balanced(dataset, recipe), parent)
    if uri is None:
        asked.prune()
        get_run_logger().info("trial %d is stopped early: %s", asked.number, " ".join(assignments(asked.values)))
        return
    evaluation = read_evaluation(scored(f"trial {asked.number} of {search.preset}", uri, dataset))
    asked.complete(evaluation.figures.macro_f1)
    get_run_logger().info("trial %d: macro-F1 %.4f on PublicTest", asked.number, evaluation.figures.macro_f1)


@task(name="trial", task_run_name="trial {asked.number}", timeout_seconds=7 * 24 * 3600, cache_policy=NO_CACHE)
def trial_task(asked: Asked, preset: str, recipe: Recipe, dataset: str, sample: str, parent: str) -> str | None:
    """Train one recipe; URI of its run folder, None where it was stopped early."""

    def watch(values: Mapping[str, float]) -> None:
        asked.report(values["validation_macro_f1"], int(values["epoch"]))

    try:
        return train_run(preset, recipe, dataset, sample, training_code(), Where(), parent, watch)
    except Pruned:
        shutil.rmtree(run_folder(recipe, dataset, sample, training_code()), ignore_errors=True)  # none, if in the store
        return None


def _keep(study: Study, base: Recipe, search: SearchParameters, parent: TrackedRun) -> str:
    """Preset, table and pictures into the store and MLflow; URI of the folder."""
    trials, best = study.trials(), study.best()
    out = work_folder(f"searches/{parent.run_id}")
    (out / TRIALS).write_text(json.dumps([asdict(trial) for trial in trials], indent=1))
    (out / TABLE).write_text(table(trials))
    if best:
        told = (
            f"Found by hyperparameter-search from `{search.preset}`, trial {best.number} of {len(trials)}: macro-F1 "
            f"{best.macro_f1:.4f} on PublicTest,\nby which it was chosen, so that a little of it is luck."
        )
        (out / BEST).write_text(preset_source(override(base, best.assignments), told))
        parent.log_metrics({"best_macro_f1": best.macro_f1 or 0.0, "trials": float(len(trials))})
    draw(study, out)
    for file in sorted(out.iterdir()):
        parent.log_files(file)
    digest = hashlib.sha256((out / TRIALS).read_bytes()).hexdigest()[:12]
    place = store().put_folder(out, f"searches/{search.preset}-{digest}")
    shutil.rmtree(out)
    return place


def table(trials: tuple[Trial, ...]) -> str:
    """Markdown, best first."""
    keys = list(trials[0].values) if trials else []
    ordered = sorted(trials, key=lambda trial: trial.macro_f1 or -1.0, reverse=True)
    lines = [["trial", "macro-F1", "epochs", *keys], ["---"] * (len(keys) + 3)]
    for trial in ordered:
        score = trial.state if trial.macro_f1 is None else f"{trial.macro_f1:.4f}"
        values = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in trial.values.values()]
        lines.append([str(trial.number), score, str(trial.epochs), *values])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _publish(study: Study, best: Trial | None) -> None:
    trials = study.trials()
    head = f"Best: trial {best.number}, macro-F1 {best.macro_f1:.4f} on PublicTest\n\n" if best else ""
    create_markdown_artifact(key="search", markdown=head + table(trials))
