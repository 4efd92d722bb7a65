"""What happened, as a person reads it at the end of `ferline run`."""

import json
import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.dataset import read_info
from components.evaluation import Evaluation
from components.evaluation.records import Interval
from components.gate import Decision
from components.validation import ValidationReport
from flows.console import say
from flows.context import fetch, settings, store
from flows.outcome import Outcome


def percent(share: float, interval: Interval) -> str:
    """`64.0 % (62.4 to 65.6)`."""
    return f"{100 * share:.1f} % ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Dataset, validation, models, gate, champion, report, and where the pages are."""
    _print_data(outcome, console)
    _print_models(outcome, console)
    if outcome.decision_uri:
        _print_decision(Decision.from_json(store().read_bytes(outcome.decision_uri).decode()), outcome, console)
    words = {
        "Promoted": f"champion is now version {outcome.champion}",
        "Rejected": f"the gate rejected the challenger; champion stays {outcome.champion or 'empty'}",
        "Unchanged": f"the best model is the champion already: version {outcome.champion}",
        "Waiting": "the challenger is registered and waits for `ferline models promote`",
    }
    console.print(f"\n[bold]{outcome.verdict}[/bold]: {words[outcome.verdict]}", highlight=False)
    report = fetch(outcome.report) / "report.html"
    _print_places(outcome, report, console)


def _print_data(outcome: Outcome, console: Console) -> None:
    folder = fetch(outcome.dataset_uri)
    info = read_info(folder)
    source = escape(info.origin.name)
    console.print(f"\n[bold]Dataset[/bold] {info.name}: {info.images} images from {source}", highlight=False)
    table = Table("split", *info.classes, "all")
    for split, classes in info.counts.items():
        table.add_row(split, *map(str, classes.values()), str(sum(classes.values())))
    console.print(table)
    validation = ValidationReport.from_json((fetch(outcome.validation_uri) / "report.json").read_text())
    warnings = validation.failed("warning")
    verdict = "[green]passed[/green]" if validation.passed else "[red]failed[/red]"
    console.print(f"[bold]Validation[/bold] {verdict}, {len(warnings)} warnings", highlight=False)
    for finding in warnings:
        say(f"  {finding.expectation}: {finding.detail}", console)


def _print_models(outcome: Outcome, console: Console) -> None:
    evaluations = [read_evaluation(candidate.evaluation_uri) for candidate in outcome.candidates]
    table = Table(
        "model",
        "macro-F1 (95 %)",
        "accuracy (95 %)",
        "ECE",
        "ms",
        title=f"On {evaluations[0].split}, n = {evaluations[0].figures.n}",
    )
    for candidate, evaluation in zip(outcome.candidates, evaluations, strict=True):
        f = evaluation.figures
        table.add_row(
            candidate.name, percent(f.macro_f1, f.macro_f1_interval), percent(f.accuracy, f.accuracy_interval),
            f"{evaluation.ece:.3f}", f"{evaluation.latency_ms:.1f}",
        )  # fmt: skip
    console.print(table)


def _print_decision(decision: Decision, outcome: Outcome, console: Console) -> None:
    against = (
        f"against champion {decision.champion.version}" if decision.champion else "first candidate: absolute rules only"
    )
    gate = f"Gate, when version {outcome.champion} became champion" if outcome.verdict == "Unchanged" else "Gate"
    table = Table("rule", "figure", "threshold", "verdict", title=f"{gate}: {decision.challenger.name}, {against}")
    for rule in decision.rules:
        mark = "[green]passed[/green]" if rule.passed else "[red]failed[/red]"
        table.add_row(rule.rule, f"{rule.figure:.4g}", f"{rule.threshold:.4g}", mark)
    console.print(table)


def _print_places(outcome: Outcome, report: Path, console: Console) -> None:
    s, tool = settings(), Path(sys.executable).parent
    validation = fetch(outcome.validation_uri)
    docs = json.loads((validation / "report.json").read_text())["docs"]
    lines = {
        "report": str(report),
        "data docs": str(validation / docs),
        "Prefect": f"PREFECT_HOME={shlex.quote(str(s.root / 'prefect'))} {tool / 'prefect'} server start",
        "MLflow": f"{tool / 'mlflow'} server --port 5000 --backend-store-uri {shlex.quote(s.mlflow_uri)}",
    }
    for name, line in lines.items():
        say(f"{name:10} {line}", console)


def read_evaluation(uri: str) -> Evaluation:
    """evaluation.json of a stored evaluation."""
    return Evaluation.from_json((fetch(uri) / "evaluation.json").read_text())


def print_evaluation(evaluation: Evaluation, place: str, console: Console) -> None:
    """One model's figures, class by class."""
    f = evaluation.figures
    console.print(f"[bold]{evaluation.model}[/bold] on {evaluation.split}, n = {f.n}", highlight=False)
    console.print(
        f"accuracy {percent(f.accuracy, f.accuracy_interval)}, macro-F1 {percent(f.macro_f1, f.macro_f1_interval)}"
    )
    if evaluation.without_twins:
        w = evaluation.without_twins
        console.print(
            f"without {evaluation.twins} twins of training images, n = {w.n}: "
            f"accuracy {percent(w.accuracy, w.accuracy_interval)}, macro-F1 {percent(w.macro_f1, w.macro_f1_interval)}"
        )
    table = Table("class", "precision", "recall", "F1", "n")
    for c in evaluation.per_class:
        table.add_row(c.name, *(f"{100 * x:.1f} %" for x in (c.precision, c.recall, c.f1)), str(c.support))
    console.print(table)
    say(place, console)
