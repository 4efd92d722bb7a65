"""Trials of a search side by side on a Ray cluster: Ray Tune, with Optuna's choices and early stops by halving.

Every trial is the training of components/training in a child of a Ray worker, so that a stopped one leaves nothing
running and a lost one goes on from its checkpoint.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.cluster.connect import cluster
from components.dataset import open_dataset
from components.errors import ClusterError
from components.evaluation.evaluate import evaluate
from components.labels import PUBLIC_TEST
from components.search.records import Dimension, Trial, Value, assignments
from components.search.study import distributions, sampler
from components.training import read_summary
from components.training.follow import Where, run_training
from components.training.recipes import override
from components.training.records import Recipe

GRACE, REDUCTION = 2, 3
"""Epochs that every trial gets; of those that got so far one in three goes on (ASHA, Li et al. 2020)."""


@dataclass(frozen=True)
class Searched:
    """What the trials have in common."""

    preset: str
    base: Recipe
    data: Path
    """Folder of the dataset version, which all nodes must see."""
    runs: Path
    """Folder of the run folders, the same."""


def search_on_ray(
    what: Searched,
    space: Sequence[Dimension],
    trials: int,
    workers: int,
    address: str,
    state: Path,
    seed: int,
) -> list[tuple[Trial, Path]]:
    """Run `trials` trials, `workers` at a time; each with its run folder. A search that was killed goes on.

    state: folder of Ray's own records. Raises ClusterError.
    """
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    with cluster(address, workers):
        body = tune.with_resources(tune.with_parameters(_trial, what=what), {"cpu": 1})
        if tune.Tuner.can_restore(str(state)):
            tuner = tune.Tuner.restore(str(state), trainable=body, resume_errored=True)
        else:
            epochs = max(GRACE + 1, what.base.epochs)
            tuner = tune.Tuner(
                body,
                tune_config=tune.TuneConfig(
                    metric="score", mode="max", num_samples=trials, max_concurrent_trials=workers,
                    search_alg=OptunaSearch(distributions(space), metric="score", mode="max", sampler=sampler(seed)),
                    scheduler=ASHAScheduler(max_t=epochs + 1, grace_period=GRACE, reduction_factor=REDUCTION),
                ),
                run_config=tune.RunConfig(name=state.name, storage_path=str(state.parent), verbose=0),
            )  # fmt: skip
        results = tuner.fit()
    found = [_record(number, results[number], what) for number in range(len(results))]
    if all(trial.state == "failed" for trial, _ in found):
        raise ClusterError(f"every trial failed; the last said: {results[len(results) - 1].error}")
    return found


def run_folder(what: Searched, recipe: Recipe) -> Path:
    return what.runs / f"{what.data.name}-{recipe.digest[:16]}"


def _trial(config: dict[str, Value], what: Searched) -> None:
    """In a worker: train, telling of each epoch, and score on PublicTest."""
    from ray import tune

    recipe = override(what.base, assignments(config))
    out = run_folder(what, recipe)

    def epoch(values: Mapping[str, float]) -> None:
        tune.report({"score": values["validation_macro_f1"], "epoch": int(values["epoch"])})

    with TemporaryDirectory() as scratch:
        asked = Path(scratch) / "recipe.json"
        asked.write_text(recipe.to_json())
        run_training(asked, what.preset, what.data, None, out, print, epoch, Where(threads=1))
    summary = read_summary(out)
    scored = evaluate(
        out / "model.onnx", open_dataset(what.data), PUBLIC_TEST, out / "public", what.preset, summary.temperature
    )
    macro_f1 = scored.figures.macro_f1
    tune.report({"score": macro_f1, "macro_f1": macro_f1, "epoch": summary.epochs})


def _record(number: int, result: Any, what: Searched) -> tuple[Trial, Path]:
    values, metrics = dict(result.config), result.metrics or {}
    out = run_folder(what, override(what.base, assignments(values)))
    macro_f1 = metrics.get("macro_f1")
    state = "failed" if result.error else "pruned" if macro_f1 is None else "complete"
    epochs = metrics.get("epoch", 0)
    return Trial(number, state, values, macro_f1 if state == "complete" else None, epochs), out  # type: ignore[arg-type]


def epochs_of(run: Path) -> list[dict[str, float]]:
    """metrics.jsonl of a run folder."""
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
