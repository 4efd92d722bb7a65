"""What a run shows on Prefect's page."""

import base64
from collections.abc import Sequence
from pathlib import Path

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from slugify import slugify

from components.dataset import Counts
from components.evaluation.records import Evaluation
from components.evaluation.tables import classes_table, models_table
from components.gate import Decision
from components.validation import ValidationReport


def publish_counts(counts: Counts) -> None:
    """Images by split and class."""
    rows = [{"split": split, **classes, "total": sum(classes.values())} for split, classes in counts.items()]
    create_table_artifact(key="dataset-counts", table=rows, description="Images by split and class")


def publish_validation(report: ValidationReport, uri: str) -> None:
    """Findings as a table, and a link to the data docs."""
    rows = [
        {"expectation": f.expectation, "severity": f.severity, "passed": f.passed, "detail": f.detail}
        for f in report.findings
    ]
    create_table_artifact(key="validation-findings", table=rows, description="What validation found")
    if not uri.startswith("s3://"):
        publish_page("data-docs", Path(uri) / report.docs, "Great Expectations data docs")


def publish_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Class table and confusion matrix of one model."""
    key = slugify(evaluation.model)
    create_markdown_artifact(key=f"figures-{key}", markdown=classes_table(evaluation))
    picture = base64.b64encode((folder / "confusion.png").read_bytes()).decode()
    create_image_artifact(image_url=f"data:image/png;base64,{picture}", key=f"confusion-{key}")


def publish_models(evaluations: Sequence[Evaluation]) -> None:
    """All models of a run beside each other."""
    create_markdown_artifact(key="models", markdown=models_table(evaluations))


def publish_page(key: str, page: Path, title: str) -> None:
    """A link to a page on this machine."""
    create_link_artifact(key=key, link=page.absolute().as_uri(), link_text=title, description=title)


def publish_decision(decision: Decision) -> None:
    """The gate's table, rule by rule."""
    lines = [
        f"# Gate: {decision.verdict}",
        "",
        "| rule | figure | threshold | verdict | detail |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.rule} | {r.figure:.4g} | {r.threshold:.4g} | {'passed' if r.passed else '**failed**'} | {r.detail} |"
        for r in decision.rules
    ]
    create_markdown_artifact(key="decision", markdown="\n".join(lines))
