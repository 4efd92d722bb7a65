"""Rank likely mislabelled Training images by confident learning (Northcutt et al. 2021, arXiv 1911.00068).

A model is trained on all folds but one and asked about that one, for each of them. cleanlab compares the answers with
the labels. Folds hold near-duplicates together, so that no image is judged by a model that knows its twin.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from components.audit.records import AuditReport, Pair
from components.balancing import Sample, class_weights, validation_slice
from components.balancing.selection import EXCLUDE
from components.dataset import Dataset
from components.errors import RecipeError
from components.evaluation.scoring import score
from components.labels import CLASSES, TRAINING
from components.models.build import RUN_WEIGHTS
from components.training.records import Recipe
from components.training.runs import ONNX
from components.training.train import Job, train

Floats = npt.NDArray[np.float32]
KNOWS = "{}, a run that has learned the labels which an audit judges: leave it empty"
REPORT, PROBABILITIES = "audit.json", "probabilities.npy"


def audit(
    dataset: Dataset,
    preset: str,
    recipe: Recipe,
    out: Path,
    folds: int = 4,
    say: Callable[[str], None] = print,
    places: Mapping[str, Path] | None = None,
) -> AuditReport:
    """Judge every Training image; goes on where an audit into the same folder was stopped.

    Writes probabilities.npy (float32 [T, 7], out of fold, in the order of the Training rows), exclude.csv (id, label,
    suggestion and quality 0 to 1 of each likely mislabelled image, worst first) and audit.json. Labels are balanced by
    nothing, neither by the sample nor by the loss, and nothing is left out, whatever the recipe says: both would shift
    the answers. places: where a store URI that the recipe names lies on this machine.

    Raises RecipeError for a recipe that brings a model which knows the labels, for fewer than two folds, or for more
    than a class has groups of near-duplicates.
    """
    places = places or {}
    _require_no_labels(recipe, places)
    rows = dataset.rows(TRAINING)
    answers = np.zeros((len(rows), len(CLASSES)), np.float32)
    seconds = 0.0
    for k, held_out in enumerate(_folds(dataset, rows, folds, recipe.seed)):
        say(f"fold {k + 1} of {folds}: {len(held_out)} images are judged by a model of the others")
        run = out / f"fold-{k + 1}"
        run.mkdir(parents=True, exist_ok=True)
        _sample(dataset, np.setdiff1d(rows, held_out), recipe).save(run / "folds.npz")
        job = Job(preset, _unweighted(recipe), dataset.root, run, run / "folds.npz", places)
        seconds += train(job, say).seconds
        answers[np.searchsorted(rows, held_out)] = score(run / ONNX, dataset.images[held_out]).probabilities
    np.save(out / PROBABILITIES, answers)
    labels = dataset.labels[rows]
    issues = _issues(dataset, rows, labels, answers)
    issues.to_csv(out / EXCLUDE, index=False, float_format="%.4f")
    report = AuditReport(
        fingerprint=dataset.info.fingerprint,
        preset=preset,
        recipe_sha256=recipe.digest,
        folds=folds,
        images=len(rows),
        found=len(issues),
        accuracy=float((answers.argmax(1) == labels).mean()),
        by_class={name: int((issues["label"] == name).sum()) for name in CLASSES},
        pairs=_pairs(issues),
        seconds=round(seconds, 1),
    )
    (out / REPORT).write_text(report.to_json())
    return report


def _require_no_labels(recipe: Recipe, places: Mapping[str, Path]) -> None:
    """A run of ours has learned the labels of every fold; the hub's folders, which have a config.json, have not."""
    begin = recipe.model.pretrained
    here = Path(places.get(begin, begin))
    if begin and (here / RUN_WEIGHTS).is_file() and not (here / "config.json").is_file():
        raise RecipeError(f"model.pretrained is {KNOWS.format(begin)}, or begin with weights from elsewhere.")
    if recipe.distill.teacher:
        raise RecipeError(f"distill.teacher is {KNOWS.format(recipe.distill.teacher)}.")


def _unweighted(recipe: Recipe) -> Recipe:
    """The recipe with plain cross-entropy where it weighs classes."""
    if recipe.loss.name != "weighted":
        return recipe
    return replace(recipe, loss=replace(recipe.loss, name="cross-entropy"))


def _folds(dataset: Dataset, rows: npt.NDArray[np.int64], folds: int, seed: int) -> list[npt.NDArray[np.int64]]:
    """Rows of each fold; classes in like shares, near-duplicates together."""
    groups = dataset.manifest["near_group"].to_numpy()[rows]
    labels = dataset.labels[rows]
    fewest = min(len(np.unique(groups[labels == label])) for label in np.unique(labels))
    if not 2 <= folds <= fewest:
        raise RecipeError(
            f"{folds} folds: 2 to {fewest} are possible, since the smallest class of dataset {dataset.info.name} has "
            f"{fewest} groups of near-duplicates in Training."
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return [rows[part] for _, part in splitter.split(rows, labels, groups)]


def _sample(dataset: Dataset, rows: npt.NDArray[np.int64], recipe: Recipe) -> Sample:
    """Everything outside a fold, as it comes; a slice of it tells when to stop and how to calibrate."""
    validation = validation_slice(dataset, rows, recipe.data.validation_share, recipe.seed)
    train_rows = np.setdiff1d(rows, validation)
    once = np.ones(len(train_rows))
    weights = class_weights(dataset.labels[train_rows], once)
    return Sample(train_rows, np.zeros(len(train_rows), np.bool_), once, validation, weights)


def _issues(
    dataset: Dataset, rows: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], answers: Floats
) -> pd.DataFrame:
    """id, label, suggestion, quality of the images that confident learning finds, worst first."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    found = find_label_issues(labels, answers, return_indices_ranked_by="self_confidence", n_jobs=1)
    quality = get_label_quality_scores(labels, answers)
    names = np.array(CLASSES)
    return pd.DataFrame(
        {
            "id": dataset.manifest["id"].to_numpy()[rows[found]],
            "label": names[labels[found]],
            "suggestion": names[answers[found].argmax(1)],
            "quality": quality[found],
        }
    )


def _pairs(issues: pd.DataFrame) -> tuple[Pair, ...]:
    counts = Counter(zip(issues["label"], issues["suggestion"], strict=True))
    return tuple(Pair(given, suggested, n) for (given, suggested), n in counts.most_common())
