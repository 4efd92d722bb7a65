"""compare-models: several presets under several seeds on the same images, and one report; nothing is registered."""

import dataclasses
import hashlib
import json
import shlex
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.assets import materialize
from prefect.runtime import flow_run

from components.dataset import Dataset, file_sha256, open_dataset
from components.errors import TrainingError
from components.report import ModelRun
from components.report.comparison import Comparison, Contest, Repeat
from components.report.comparison_origin import elsewhere, public
from components.report.comparison_page import PAGE, TEXT, write_comparison
from components.training import read_epochs, read_summary
from components.training.recipes import assignments, compose, read_recipe
from components.training.records import Recipe
from flows.artifacts import publish_page
from flows.context import code_version, fetch, registry, store, work_folder
from flows.digests import training_code
from flows.parameters import ComparisonParameters, DataParameters
from flows.places import outside_digest
from flows.report import REPORTS
from flows.summary import read_evaluation
from flows.tasks import AGAIN, CACHED, balanced, ingested, reuse, scored, train_task
from flows.train import MOST_STARTS, validated

PRETRAINING = "pretrain.jsonl"


@dataclass(frozen=True)
class Entrant:
    """One model under one seed, by reference."""

    preset: str
    seed: int
    run_uri: str
    evaluation_uri: str


@dataclass(frozen=True)
class ComparisonOutcome:
    """How a run of compare-models ended."""

    dataset_uri: str
    entrants: tuple[Entrant, ...]
    """Preset by preset, seed by seed."""
    report: str
    """URI of the folder with comparison.json, report.html, comparison.html, comparison.md and its pictures."""


@flow(name="compare-models")
def compare_models(
    data: DataParameters = DataParameters(), comparison: ComparisonParameters = ComparisonParameters()
) -> ComparisonOutcome:
    """Ingest, validate, then balance, train and evaluate each model under each seed, and report.

    Every finished step is in the cache and every training in its checkpoints: what is interrupted is started again by
    the same call, and goes on.
    """
    if flow_run.run_count > MOST_STARTS:
        raise TrainingError(f"this run's worker died {MOST_STARTS} times: its log or its memory may say why.")
    recipes, log = entrants(comparison), get_run_logger()
    for preset, settings in replaced(comparison).items():
        log.info("%s learns from the images of %s, not by its own %s: --own-data leaves each preset its own",
                 preset, comparison.presets[0], ", ".join(settings))  # fmt: skip
    dataset = ingested(data)
    validated(dataset)
    made = {key: _score(key[0], recipe, dataset) for key, recipe in recipes.items()}
    found = tuple(Entrant(*key, *made[key]) for key in sorted(made, key=lambda key: _place(key, comparison)))
    code = code_version("components/report", "components/evaluation", "flows/compare.py")
    report = reuse(comparison_task, dataset, found, comparison, code)
    log.info("%s models compared: %s", len(comparison.presets), report)
    return ComparisonOutcome(dataset, found, report)


def entrants(comparison: ComparisonParameters) -> dict[tuple[str, int], Recipe]:
    """(preset, seed) -> recipe; all models of the first seed come first, so that an early end leaves a whole round.

    Raises RecipeError for an unknown preset or a wrong override, and where a run that one goes on from, or is taught
    by, has learned what it validates on: under the second seed that would show after a whole round.
    """
    recipes = _own(comparison)
    if comparison.same_data:
        first = recipes[comparison.presets[0]]
        recipes = {name: replace(recipe, data=first.data, balance=first.balance) for name, recipe in recipes.items()}
    entered = {
        (preset, seed): replace(recipe, seed=seed) for seed in comparison.seeds for preset, recipe in recipes.items()
    }
    for recipe in entered.values():
        _require_same_slices(recipe)
    return entered


def _require_same_slices(recipe: Recipe) -> None:
    """Raises RecipeError where weights or a teacher know the images that the recipe validates on."""
    if named := (*filter(None, (recipe.model.pretrained,)), *recipe.distill.teachers):
        from components.training.runs import require_same_slice  # torch: 2 s

        for name in named:
            require_same_slice(_folder_of(name), recipe)


def replaced(comparison: ComparisonParameters) -> dict[str, list[str]]:
    """Preset -> what of its own data and balance gives way to the first preset's, as `key=value`; others left out."""
    entered = {preset: recipe for (preset, _), recipe in entrants(comparison).items()}
    own = {
        preset: assignments(replace(entered[preset], seed=recipe.seed), recipe)
        for preset, recipe in _own(comparison).items()
    }
    return {preset: settings for preset, settings in own.items() if settings}


def _own(comparison: ComparisonParameters) -> dict[str, Recipe]:
    return {preset: compose(preset, comparison.overrides, comparison.tiny) for preset in comparison.presets}


def _place(key: tuple[str, int], comparison: ComparisonParameters) -> tuple[int, int]:
    return comparison.presets.index(key[0]), comparison.seeds.index(key[1])


def _score(preset: str, recipe: Recipe, dataset: str) -> tuple[str, str]:
    """URIs of the run and of its evaluation on PublicTest."""
    sample, outside = balanced(dataset, recipe), outside_digest(recipe)
    run = reuse(train_task, preset, recipe, dataset, sample, training_code(), outside)
    return run, scored(f"{preset} seed {recipe.seed}", run, dataset)


@materialize(REPORTS, name="compare", timeout_seconds=1800, **CACHED, **AGAIN)
def comparison_task(dataset_uri: str, found: tuple[Entrant, ...], comparison: ComparisonParameters, code: str) -> str:
    """Finished models -> URI of the report's folder; also an MLflow run and two Prefect artifacts."""
    names = [[e.preset, e.seed, Path(e.run_uri).name, Path(e.evaluation_uri).name] for e in found]
    asked = [dataclasses.asdict(comparison), Path(dataset_uri).name]
    key = hashlib.sha256(json.dumps([names, asked, code]).encode()).hexdigest()[:16]
    out = work_folder(f"comparisons/{key}")
    contest = _contest(dataset_uri, found, comparison)
    figures = write_comparison(contest, out)
    _track(key, contest, figures, dataset_uri, out)
    uri = store().put_folder(out, f"comparisons/{key}")
    create_markdown_artifact(key="comparison", markdown=_without_pictures(out / TEXT), description=contest.title)
    shutil.rmtree(out)
    publish_page("comparison-page", fetch(uri) / PAGE, "models compared")
    return uri


def _contest(dataset_uri: str, found: tuple[Entrant, ...], comparison: ComparisonParameters) -> Contest:
    dataset = open_dataset(fetch(dataset_uri))
    models = {preset: [_repeat(e) for e in found if e.preset == preset] for preset in comparison.presets}
    return Contest(
        title=f"Models compared on {dataset.info.origin.name}",
        command=_command(dataset, comparison),
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        dataset=dataset,
        models=models,
        replaced=replaced(comparison),
    )


def _command(dataset: Dataset, comparison: ComparisonParameters) -> str:
    """The source, weights and the like by their names alone: their paths are this machine's own affair."""
    words = ["ferline", "compare", "--source", dataset.info.origin.name]
    words += [word for preset in comparison.presets for word in ("--preset", preset)]
    words += ["--seeds", ",".join(map(str, comparison.seeds))]
    overrides = [text.partition("=") for text in comparison.overrides]
    words += [word for key, equals, value in overrides for word in ("--set", key + equals + public(value))]
    words += ["--tiny"] * comparison.tiny + ["--own-data"] * (not comparison.same_data)
    return shlex.join(words)


def _repeat(entrant: Entrant) -> Repeat:
    run, evaluation = fetch(entrant.run_uri), fetch(entrant.evaluation_uri)
    environment, recipe = json.loads((run / "environment.json").read_text()), read_recipe(run)
    pretraining, pretraining_s, pretraining_wh = pretraining_of(run)
    return Repeat(
        seed=entrant.seed,
        run_uri=entrant.run_uri,
        evaluation_uri=entrant.evaluation_uri,
        recipe=recipe,
        hardware=f"{environment['device']}, torch {environment['torch']}",
        commit=environment["commit"],
        elsewhere=elsewhere(recipe, _run_of),
        pretraining=pretraining,
        pretraining_s=pretraining_s,
        pretraining_wh=pretraining_wh,
        run=ModelRun(
            name=entrant.preset,
            summary=read_summary(run),
            epochs=read_epochs(run),
            evaluation=read_evaluation(entrant.evaluation_uri),
            predictions=pd.read_parquet(evaluation / "predictions.parquet"),
            model=run / "model.onnx",
        ),
    )


def _run_of(name: str) -> Recipe | None:
    """The recipe of the run that weights or a teacher are named by; None where it is no run of ours, or gone."""
    folder = _folder_of(name)
    return read_recipe(folder) if (folder / "recipe.json").is_file() else None


def _folder_of(name: str) -> Path:
    """Where weights or a teacher lie on this machine; a path to nothing where they do not."""
    held = name.startswith("s3://") and name.startswith(f"{store().uri}/") and store().exists(name)
    return fetch(name) if held else Path(name).expanduser()


def pretraining_of(run: Path) -> tuple[str, float, float | None]:
    """Digest of the log, seconds and Wh of a run's masked pretraining; None where a line lacks its energy."""
    lines = read_epochs(run, PRETRAINING)
    energy = [line["energy_wh"] for line in lines if "energy_wh" in line]
    digest = file_sha256(run / PRETRAINING) if lines else ""
    return digest, sum(line["seconds"] for line in lines), sum(energy) if len(energy) == len(lines) else None


def _without_pictures(text: Path) -> str:
    """For Prefect's page, which has no files beside it."""
    return "\n".join(line for line in text.read_text().splitlines() if not line.startswith("!["))


def _track(key: str, contest: Contest, figures: Comparison, dataset_uri: str, folder: Path) -> None:
    """The comparison as an MLflow run of its own: the runs it is made of, the figures, the files."""
    runs = {
        f"run/{name}/seed {repeat.seed}": (fetch(repeat.run_uri) / "mlflow_run").read_text()
        for name, group in contest.models.items()
        for repeat in group
    }
    asked = {"command": contest.command, "seeds": ", ".join(map(str, figures.seeds)), **runs}
    with registry().track(f"comparison-{key}", contest.title, asked) as run:
        run.log_dataset(dataset_uri, contest.dataset.info, "comparison")
        for model in figures.models:
            means = {
                "accuracy": model.accuracy, "macro_f1": model.macro_f1, "test_loss": model.test_loss,
                "minutes": model.minutes, "pretraining_minutes": model.pretraining_minutes,
            }  # fmt: skip
            run.log_metrics({f"{model.name}/{name}": figure.mean for name, figure in means.items()})
        run.log_files(folder)
