"""Validate a dataset version before anything is trained on it."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from components.dataset import MANIFEST_COLUMNS, Dataset, DatasetInfo
from components.errors import ValidationFailed
from components.labels import TEST_SPLITS
from components.validation.checks import dataset_checks, schema_checks
from components.validation.facts import Tables, derive
from components.validation.policy import ValidationPolicy
from components.validation.records import Finding, ValidationReport
from components.validation.twins import draw_twins

REPORT, TWINS = "report.json", "twins.png"


def validate(
    dataset: Dataset, policy: ValidationPolicy, out: Path, last_accepted: DatasetInfo | None = None
) -> ValidationReport:
    """Ask every expectation; write report.json, data_docs/ and twins.png into `out`.

    A manifest with missing columns or empty cells is asked nothing beyond its schema: the report then has no counts.
    """
    from components.validation.suites import DOCS, FIRST_PAGE, run_suites  # imports Great Expectations: 3 to 6 s

    out.mkdir(parents=True, exist_ok=True)
    tables = derive(dataset, policy) if _readable(dataset) else None
    named, checks = {"manifest": dataset.manifest}, schema_checks()
    if tables:
        named.update(tables.named())
        checks += dataset_checks(policy, last_accepted, tables.repeated)
    findings = tuple(run_suites(named, checks, out))
    report = ValidationReport(
        dataset_fingerprint=dataset.info.fingerprint,
        passed=all(finding.passed or finding.severity == "warning" for finding in findings),
        images=dataset.info.images,
        findings=findings,
        docs=f"{DOCS}/{FIRST_PAGE}",
        policy=policy.model_dump(mode="json"),
    )
    if tables:
        report = _counted(report, tables)
        report = replace(report, twins=TWINS if draw_twins(dataset, out / TWINS) else "")
    (out / REPORT).write_text(report.to_json())
    return report


def _readable(dataset: Dataset) -> bool:
    """The manifest has every column and no empty cell in them."""
    columns = list(MANIFEST_COLUMNS)
    return set(columns) <= set(dataset.manifest.columns) and not dataset.manifest[columns].isna().to_numpy().any()


def _counted(report: ValidationReport, tables: Tables) -> ValidationReport:
    """The report with what the tables count."""
    images = tables.images
    tests = images[images["split"].isin(TEST_SPLITS)].groupby("split", sort=False)
    different = images.groupby("near_group")["exact_group"].nunique()
    signals = tables.splits.set_index("id")["label_signal"]
    return replace(
        report,
        extra_copies=int(images["extra_copy"].sum()),
        conflicting_groups=int((images.groupby("exact_group")["label"].nunique() > 1).sum()),
        constant=int(images["constant"].sum()),
        near_constant=int(images["near_constant"].sum()),
        near_groups=int((different > 1).sum()),
        leaked={str(split): int(group["leaked"].sum()) for split, group in tests},
        near_leaked={str(split): int(group["near_leaked"].sum()) for split, group in tests},
        label_signal={str(split): None if pd.isna(z) else float(z) for split, z in signals.items()},
    )


def require_passed(report: ValidationReport) -> None:
    """Raise ValidationFailed that names each blocking expectation, what it saw and the first offending ids."""
    failed = report.failed("blocking")
    if report.passed or not failed:
        return
    lines = [f"  {finding.expectation}: {finding.detail}{_ids(finding)}" for finding in failed]
    name = report.dataset_fingerprint[:16]
    raise ValidationFailed(
        f"dataset {name} fails {len(failed)} blocking expectation(s); nothing is trained on it:\n"
        + "\n".join(lines)
        + "\nMend the source and ingest it again, or, where this is as it should be, edit the policy's section "
        "`validation` (infra/policy/validation.yaml)."
    )


def _ids(finding: Finding) -> str:
    if not finding.offending_ids:
        return ""
    rest = finding.offending_count - len(finding.offending_ids)
    return f"; {', '.join(finding.offending_ids)}" + (f" and {rest:,} more" if rest else "")
