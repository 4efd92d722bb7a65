"""The run's page, from references to HTML."""

import dataclasses
import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from prefect.assets import Asset, materialize

from components.balancing import DataRecipe, Sample, select
from components.balancing.selection import EXCLUDE
from components.dataset import Dataset, open_dataset
from components.gate import Decision
from components.report import ModelRun, RunRecord, write_report
from components.training import read_epochs
from components.training.recipes import from_json
from components.training.records import Recipe, RunSummary
from components.validation import ValidationReport
from flows import artifacts
from flows.context import fetch, store, work_folder
from flows.outcome import CandidateOutcome, Outcome
from flows.summary import read_evaluation
from flows.tasks import AGAIN, CACHED

REPORTS = Asset(key="ferline://reports")
VERDICTS = {
    "Promoted": "The gate let the challenger pass: version {champion} is champion.",
    "Rejected": "The gate rejected the challenger; it is kept and marked. Champion: {champion}.",
    "Unchanged": "The best model of this run is the champion already: version {champion}. The gate was not asked "
    "again; its table is the decision that made it champion.",
    "Waiting": "The challenger passed the gate and waits for a promotion by hand. Champion: {champion}.",
}


@materialize(REPORTS, name="report", timeout_seconds=1800, **CACHED, **AGAIN)
def report_task(outcome: Outcome, code: str) -> str:
    """An outcome -> URI of a folder with report.html."""
    key = hashlib.sha256(json.dumps([dataclasses.asdict(outcome), code]).encode()).hexdigest()[:16]
    out = work_folder(f"reports/{key}")
    write_report(_record(outcome), out / "report.html")
    uri = store().put_folder(out, f"reports/{key}")
    shutil.rmtree(out)
    artifacts.publish_page("report", fetch(uri) / "report.html", "the run's report")
    return uri


def _record(outcome: Outcome) -> RunRecord:
    dataset = open_dataset(fetch(outcome.dataset_uri))
    first = fetch(outcome.candidates[0].run_uri)
    recipe = from_json((first / "recipe.json").read_text())
    decision = Decision.from_json(store().read_bytes(outcome.decision_uri).decode()) if outcome.decision_uri else None
    return RunRecord(
        title=f"train-pipeline on {dataset.info.origin.name}",
        verdict=VERDICTS[outcome.verdict].format(champion=outcome.champion or "none"),
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        dataset=dataset,
        validation=ValidationReport.from_json((fetch(outcome.validation_uri) / "report.json").read_text()),
        selection=select(dataset, _left_out(recipe, first)),
        sample=Sample.load(first / "sample.npz"),
        runs=[_run(candidate) for candidate in outcome.candidates],
        decision=decision,
        champion=outcome.champion,
        provenance=_provenance(outcome, dataset, first),
    )


def _left_out(recipe: Recipe, run: Path) -> DataRecipe:
    """With the exclusion list that the run kept, wherever it was trained."""
    return dataclasses.replace(recipe.data, exclude=str(run / EXCLUDE) if recipe.data.exclude else "")


def _run(candidate: CandidateOutcome) -> ModelRun:
    run = fetch(candidate.run_uri)
    return ModelRun(
        name=candidate.name,
        summary=RunSummary.from_json((run / "summary.json").read_text()),
        epochs=read_epochs(run),
        evaluation=read_evaluation(candidate.evaluation_uri),
        predictions=pd.read_parquet(fetch(candidate.evaluation_uri) / "predictions.parquet"),
        model=run / "model.onnx",
    )


def _provenance(outcome: Outcome, dataset: Dataset, run: Path) -> dict[str, str]:
    environment = json.loads((run / "environment.json").read_text())
    return {
        "dataset": outcome.dataset_uri,
        "fingerprint": dataset.info.fingerprint,
        "best model's run": outcome.candidates[0].run_uri,
        "validation": outcome.validation_uri,
        "decision": outcome.decision_uri or "none",
        "code": environment["commit"],
        "lock": environment["lock_sha256"][:16],
        "environment": f"Python {environment['python']}, torch {environment['torch']}, {environment['device']}",
    }
