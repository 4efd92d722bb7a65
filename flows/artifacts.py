"""What a run shows on Prefect's page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from components.dataset import Counts
from components.gate.records import Decision


def publish_counts(counts: Counts) -> None:
    """Images by split and class."""
    rows = [{"split": split, **classes, "total": sum(classes.values())} for split, classes in counts.items()]
    create_table_artifact(key="dataset-counts", table=rows, description="Images by split and class")


def publish_table(key: str, title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Any table."""
    create_table_artifact(key=key, table=[dict(row) for row in rows], description=title)


def publish_markdown(key: str, text: str) -> None:
    """Text with tables or embedded pictures."""
    create_markdown_artifact(key=key, markdown=text)


def publish_page(key: str, page: Path, title: str) -> None:
    """A link to a page on this machine or in the store."""
    create_link_artifact(key=key, link=page.absolute().as_uri(), link_text=title, description=title)


def publish_decision(decision: Decision) -> None:
    """The gate's table, rule by rule."""
    lines = [f"# Gate: {decision.verdict}", "", "| rule | figure | threshold | verdict | detail |", "|---|---|---|---|---|"]
    lines += [
        f"| {r.rule} | {r.figure:.4g} | {r.threshold:.4g} | {'passed' if r.passed else '**failed**'} | {r.detail} |"
        for r in decision.rules
    ]
    publish_markdown("decision", "\n".join(lines))
