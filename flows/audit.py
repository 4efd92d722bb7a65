"""`ferline data audit`: an audit of labels, its sheet, and its place in the store."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from components.audit import PROBABILITIES, REPORT, AuditReport, audit
from components.balancing.selection import EXCLUDE
from components.dataset import Dataset, open_dataset
from components.labels import CLASSES
from components.report import contact_sheet
from components.training.records import Recipe
from flows.context import fetch, store, work_folder
from flows.digests import audit_code, training_code
from flows.places import outside_digest, places

SHEET, FACES_A_CLASS = "sheet.png", 12
KEPT = (REPORT, EXCLUDE, SHEET, PROBABILITIES)


def audit_labels(
    uri: str, preset: str, recipe: Recipe, folds: int, say: Callable[[str], None]
) -> tuple[AuditReport, str]:
    """Audit a dataset version; the report, and the URI of the folder that a recipe may name in data.exclude.

    A killed audit goes on from the fold and checkpoint where it was; a finished one is read from the store.
    """
    dataset = open_dataset(fetch(uri))
    made_of = hashlib.sha256(f"{training_code()} {audit_code()} {outside_digest(recipe)}".encode()).hexdigest()
    key = f"{dataset.info.name}-{recipe.digest[:12]}-{folds}-{made_of[:8]}"
    place = f"{store().uri}/audits/{key}"
    if store().exists(place):
        say(f"{place} holds the finished audit of this recipe")
        return AuditReport.from_json((fetch(place) / REPORT).read_text()), place
    work = work_folder(f"audits/{key}")
    report = audit(dataset, preset, recipe, work, folds, say, places(recipe))
    draw_sheet(dataset, pd.read_csv(work / EXCLUDE), work / SHEET)
    out = work_folder(f"audits/{key}-done")
    for name in KEPT:
        shutil.copyfile(work / name, out / name)
    place = store().put_folder(out, f"audits/{key}")
    shutil.rmtree(out)
    shutil.rmtree(work)
    return report, place


def draw_sheet(dataset: Dataset, issues: pd.DataFrame, target: Path) -> None:
    """The likeliest mislabelled faces of every class, a row a class, each with label and suggestion."""
    worst = issues.groupby("label", sort=False).head(FACES_A_CLASS)
    worst = worst.sort_values("label", key=lambda names: names.map(CLASSES.index), kind="stable")
    rows = pd.Index(dataset.manifest["id"]).get_indexer(pd.Index(worst["id"]))
    captions = [f"{given} > {suggested}" for given, suggested in zip(worst["label"], worst["suggestion"], strict=True)]
    contact_sheet(np.asarray(dataset.images[rows]), captions, columns=FACES_A_CLASS, scale=2).save(target)
