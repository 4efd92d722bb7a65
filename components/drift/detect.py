"""A window against its model's reference: every check of the policy, in one report."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from components.drift.measure import column_findings, embedding_finding
from components.drift.policy import DriftPolicy
from components.drift.quality import estimate, measure_quality, quality_findings
from components.drift.records import DriftReport, Finding, Reference, Slice, WindowQuality
from components.labels import CLASSES
from components.predictions import Window


def detect(reference: Reference, window: Window, policy: DriftPolicy) -> DriftReport:
    """Every check that is not off. window: at least one row."""
    drawn = window.table.iloc[window.drawn]
    findings = list(column_findings(reference, drawn, policy))
    both = reference.embedding is not None and window.embedding is not None
    if both and policy.checks.embedding.severity != "off":
        assert reference.embedding is not None
        assert window.embedding is not None
        findings.append(embedding_finding(reference.embedding, window.embedding, policy))
    quality = measure_quality(window) if len(window.labelled) >= policy.window.labelled else None
    if quality:
        findings += quality_findings(reference, window, quality, policy)
    return DriftReport(
        version=window.version,
        window=window.name,
        since=window.since.isoformat(),
        until=window.until.isoformat(),
        rows=len(window.table),
        drawn=len(drawn),
        findings=tuple(sorted(findings, key=_order)),
        means=_means(window.table),
        reference_means=_means(reference.table),
        estimate=estimate(window.probabilities),
        quality=quality,
        slices=tuple(_slices(reference, window, policy)),
        policy=policy.model_dump(mode="json"),
    )


def running(now: DriftReport, earlier: Iterable[DriftReport]) -> int:
    """How many windows on end have drifted, this one among them; 0 where it has not.

    earlier: reports of the same version. One whose window overlaps the next one's holds the same predictions, and
    does not count.
    """
    count, begins = int(now.drifted), now.window
    if not now.drifted:
        return 0
    for report in sorted(earlier, key=lambda report: report.window, reverse=True):
        last = report.window.partition("-")[2]
        if report.version != now.version or last >= begins.partition("-")[0]:
            continue
        if not report.drifted:
            break
        count, begins = count + 1, report.window
    return count


def figures(report: DriftReport) -> dict[str, float]:
    """A report as plain numbers by name: what dashboards and gauges show."""
    plain = {f"value of {finding.check}": finding.value for finding in report.findings}
    plain |= {f"mean of {name}": value for name, value in report.means.items()}
    plain |= {"drift share": report.share, "rows": float(report.rows)}
    plain |= {"estimated accuracy": report.estimate.accuracy, "estimated macro-F1": report.estimate.macro_f1}
    if report.quality:
        plain |= _quality_figures(report.quality)
    return plain


def _quality_figures(quality: WindowQuality) -> dict[str, float]:
    return {
        "accuracy": quality.accuracy, "macro-F1": quality.macro_f1, "calibration error": quality.ece,
        "labelled": float(quality.labelled),
    }  # fmt: skip


def _order(finding: Finding) -> int:
    """Kinds together."""
    return ("covariate", "prediction", "label", "quality").index(finding.kind)


def _means(table: pd.DataFrame) -> dict[str, float]:
    shares = np.bincount(table["answer"].to_numpy(np.int64), minlength=len(CLASSES)) / len(table)
    means = {name: float(table[name].mean()) for name in ("brightness", "contrast", "sharpness", "confidence")}
    means["uncertain"] = float(table["uncertain"].mean())
    return means | {f"share {name}": float(share) for name, share in zip(CLASSES, shares, strict=True)}


def _slices(reference: Reference, window: Window, policy: DriftPolicy) -> Sequence[Slice]:
    """The commonest tags with as many rows as a window needs, the largest first."""
    counts = window.table.loc[window.table["tag"] != "", "tag"].value_counts()
    chosen = counts[counts >= policy.window.rows].head(policy.window.tags)
    return [_slice(str(tag), reference, window.table[window.table["tag"] == tag], policy) for tag in chosen.index]


def _slice(tag: str, reference: Reference, rows: pd.DataFrame, policy: DriftPolicy) -> Slice:
    most = policy.window.sample
    drawn = rows if len(rows) <= most else rows.sample(most, random_state=0)
    findings = tuple(column_findings(reference, drawn, policy))
    return Slice(tag, len(rows), float(rows["confidence"].mean()), float(rows["uncertain"].mean()), findings)
