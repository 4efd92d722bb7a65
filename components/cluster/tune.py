"""Trials of a search side by side on a Ray cluster: Ray Tune, with Optuna's choices and early stops by halving.

Every trial is the training of components/training in a child of a Ray worker, so that a stopped one leaves nothing
running and a lost one goes on from its checkpoint.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from components.cluster.connect import cluster, gpus_each
from components.dataset import open_dataset
from components.errors import ClusterError, RecipeError
from components.evaluation.evaluate import evaluate
from components.labels import PUBLIC_TEST
from components.search.records import Dimension, Trial, Value, assignments, most_epochs
from components.search.study import distributions, sampler
from components.training import read_summary
from components.training.follow import Where, run_training
from components.training.recipes import override
from components.training.records import Recipe

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler

MOST_FAILURES = 3
GRACE, REDUCTION = 2, 3
"""Epochs that every trial gets; of those that got so far one in three goes on (ASHA, Li et al. 2020)."""


@dataclass(frozen=True)
class Searched:
    """What the trials have in common."""

    name: str
    """Of the search; with a trial's id it names a run folder."""
    preset: str
    base: Recipe
    data: Path
    """Folder of the dataset version, which all nodes must see."""
    runs: Path
    """Folder of the run folders, the same."""
    places: Mapping[str, Path]
    """Where what the recipes name lies, for all nodes."""
    shared: Path
    """Folder of pretrained backbones, the same."""

    def run_folder(self, trial: str) -> Path:
        return self.runs / f"{self.name}-{trial}"


@dataclass(frozen=True)
class Tried:
    """A trial with Ray's name for it and its run folder."""

    id: str
    trial: Trial
    run: Path


def search_on_ray(
    what: Searched,
    space: Sequence[Dimension],
    trials: int,
    workers: int,
    address: str,
    state: Path,
    seed: int,
    past: Sequence[Trial],
    prune: bool,
) -> list[Tried]:
    """Run `trials` trials, `workers` at a time, chosen after those of the past. A search that was killed goes on.

    prune: whether trials that do worse than others are stopped early.
    state: folder of Ray's own records; where it is there, its own trials end, however many are asked for. Raises
    ClusterError.
    """
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    known = [(trial.values, trial.macro_f1) for trial in past if trial.macro_f1 is not None]
    with cluster(address, workers) as gpus:
        share: dict[str, float] = {"cpu": 1, "gpu": gpus_each(gpus, workers, may_wait=True)}
        body = tune.with_resources(tune.with_parameters(_trial, what=what), share)
        if tune.Tuner.can_restore(str(state)):
            tuner = tune.Tuner.restore(str(state), trainable=body, resume_errored=True)
        else:
            tuner = tune.Tuner(
                body,
                tune_config=tune.TuneConfig(
                    num_samples=trials, max_concurrent_trials=workers,
                    search_alg=OptunaSearch(
                        distributions(space), metric="choice", mode="max", sampler=sampler(seed + len(past)),
                        points_to_evaluate=[values for values, _ in known] or None,
                        evaluated_rewards=[score for _, score in known] or None,
                    ),
                    scheduler=scheduler(prune, most_epochs(what.base, space)),
                    trial_dirname_creator=lambda trial: str(trial.trial_id),
                ),
                run_config=tune.RunConfig(
                    name=state.name, storage_path=str(state.parent), verbose=0,
                    failure_config=tune.FailureConfig(max_failures=MOST_FAILURES),
                ),
            )  # fmt: skip
        results = tuner.fit()
    found = [_record(number, results[number], what) for number in range(len(results))]
    if all(tried.trial.state == "failed" for tried in found):
        raise ClusterError(f"every trial failed; the last said: {results[len(results) - 1].error}")
    return found


def scheduler(prune: bool, epochs: int) -> "TrialScheduler":
    """What stops trials before their end: halving, or nothing. epochs: of the longest trial."""
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

    if not prune:
        return FIFOScheduler()  # type: ignore[no-untyped-call]
    most = max(GRACE + 1, epochs) + 1  # reports: one an epoch, and the score at the end
    return ASHAScheduler(metric="validation", mode="max", max_t=most, grace_period=GRACE, reduction_factor=REDUCTION)


def _trial(config: dict[str, Value], what: Searched) -> None:
    """In a worker: train, telling of each epoch, and score on PublicTest.

    `validation` is what trials are stopped by, `choice` what the next ones are chosen by.
    """
    from ray import tune

    try:
        recipe = override(what.base, assignments(config))
    except RecipeError as error:  # the values do not go together; another choice may
        tune.report({"validation": 0.0, "choice": 0.0, "epoch": 0, "refused": str(error)})
        return
    out = what.run_folder(tune.get_context().get_trial_id())
    last = [0.0]

    def epoch(values: Mapping[str, float]) -> None:
        last[0] = values["validation_macro_f1"]
        tune.report({"validation": last[0], "choice": last[0], "epoch": int(values["epoch"])})

    with TemporaryDirectory() as scratch:
        asked = Path(scratch) / "recipe.json"
        asked.write_text(recipe.to_json())
        run_training(asked, what.preset, what.data, None, out, print, epoch, Where(threads=1), what.places, what.shared)
    summary = read_summary(out)
    shutil.rmtree(out / "public", ignore_errors=True)  # of a try that was lost after it
    scored = evaluate(
        out / "model.onnx", open_dataset(what.data), PUBLIC_TEST, out / "public", what.preset, summary.temperature
    )
    macro_f1 = scored.figures.macro_f1
    tune.report({"validation": last[0], "choice": macro_f1, "macro_f1": macro_f1, "epoch": summary.epochs})


def _record(number: int, result: Any, what: Searched) -> Tried:
    metrics, name = result.metrics or {}, Path(result.path).name
    macro_f1 = metrics.get("macro_f1")
    state = "failed" if result.error else "pruned" if macro_f1 is None else "complete"
    score = macro_f1 if state == "complete" else None
    trial = Trial(number, state, dict(result.config), score, metrics.get("epoch", 0))  # type: ignore[arg-type]
    return Tried(name, trial, what.run_folder(name))
