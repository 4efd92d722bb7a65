"""How good the answers are: measured where labels came, estimated where none did."""

from collections.abc import Iterator

import numpy as np

from components.drift.measure import column_finding
from components.drift.policy import DriftPolicy
from components.drift.records import Estimate, Finding, Floats, Quality, Reference
from components.evaluation.bootstrap import accuracy_of, intervals, macro_f1_of
from components.evaluation.calibration import expected_calibration_error
from components.labels import CLASSES
from components.predictions import Window

K = len(CLASSES)


def measure_quality(window: Window) -> Quality:
    """Figures on the window's labelled rows, at least one."""
    labels, answers = (window.labelled[name].to_numpy(np.int64) for name in ("label", "answer"))
    table = np.bincount(labels * K + answers, minlength=K * K).reshape(K, K)
    accuracy, macro_f1 = intervals(labels, answers)
    return Quality(
        labelled=len(labels),
        accuracy=float(accuracy_of(table)),
        accuracy_interval=accuracy,
        macro_f1=float(macro_f1_of(table)),
        macro_f1_interval=macro_f1,
        confidence=float(window.labelled_probabilities.max(1).mean()),
        ece=expected_calibration_error(window.labelled_probabilities, labels),
    )


def quality_findings(reference: Reference, window: Window, quality: Quality, policy: DriftPolicy) -> Iterator[Finding]:
    """Labels and quality against the reference's, on the labelled rows; checks that are off are left out."""
    checks, rows = policy.checks, quality.labelled
    if checks.labels.severity != "off":
        yield column_finding("labels", "label", "label", reference, window.labelled, checks.labels, policy.false_alarm)
    truth, answers = (reference.table[name].to_numpy(np.int64) for name in ("label", "answer"))
    table = np.bincount(truth * K + answers, minlength=K * K).reshape(K, K)
    for name, was, now_is, interval in (
        ("accuracy", float(accuracy_of(table)), quality.accuracy, quality.accuracy_interval),
        ("macro_f1", float(macro_f1_of(table)), quality.macro_f1, quality.macro_f1_interval),
    ):
        check = getattr(checks, name)
        if check.severity != "off":
            loss = was - interval.high
            detail = f"{was:.3f} -> {now_is:.3f} ({interval.low:.3f} to {interval.high:.3f})"
            statistic = f"{name.replace('_', '-')} lost, at the least"
            yield Finding(
                name, "quality", statistic, loss, check.effect, check.severity, loss > check.effect, rows, detail
            )
    if checks.calibration.severity != "off":
        ends = quality.accuracy_interval
        gap = max(quality.confidence - ends.high, ends.low - quality.confidence)
        effect, severity = checks.calibration.effect, checks.calibration.severity
        detail = f"mean confidence {quality.confidence:.3f}, accuracy {quality.accuracy:.3f}, ECE {quality.ece:.3f}"
        yield Finding(
            "calibration", "quality", "confidence off accuracy, at the least", gap, effect, severity, gap > effect,
            rows, detail,
        )  # fmt: skip


def estimate(probabilities: Floats) -> Estimate:
    """Accuracy and macro-F1 to be expected from the probabilities themselves, taken as right. probabilities: [N, 7].

    Each face adds its probabilities to the column of its answer: the expected confusion table (Guillory et al. 2021,
    arXiv 2107.03315, for accuracy; confidence-based performance estimation for other figures).
    """
    table = np.zeros((K, K))
    np.add.at(table.T, probabilities.argmax(1), probabilities.astype(np.float64))
    return Estimate(len(probabilities), float(accuracy_of(table)), float(macro_f1_of(table)))
