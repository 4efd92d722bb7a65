"""How good the answers are: measured where labels came, estimated where none did."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.drift.measure import column_finding
from components.drift.policy import DriftPolicy
from components.drift.records import Estimate, Finding, Floats, Reference, WindowQuality
from components.evaluation.bootstrap import accuracy_of, loss_intervals, macro_f1_of
from components.evaluation.calibration import expected_calibration_error
from components.evaluation.labelled import quality as quality_of
from components.labels import CLASSES
from components.predictions import Window

K = len(CLASSES)


def measure_quality(window: Window) -> WindowQuality:
    """Figures on the window's labelled rows, at least one."""
    labels, answers = _pair(window.labelled)
    return WindowQuality(
        **vars(quality_of(labels, answers)),
        confidence=float(window.labelled_probabilities.max(1).mean()),
        ece=expected_calibration_error(window.labelled_probabilities, labels),
    )


def quality_findings(
    reference: Reference, window: Window, quality: WindowQuality, policy: DriftPolicy
) -> Iterator[Finding]:
    """Labels and quality against the reference's, on the labelled rows; checks that are off are left out."""
    checks, rows = policy.checks, quality.labelled
    if checks.labels.severity != "off":
        yield column_finding("labels", "label", "label", reference, window.labelled, checks.labels, policy.false_alarm)
    before = _pair(reference.table)
    then = quality_of(*before)
    losses = loss_intervals(before, _pair(window.labelled))
    for name, was, now, loss in (
        ("accuracy", then.accuracy, quality.accuracy, losses[0]),
        ("macro_f1", then.macro_f1, quality.macro_f1, losses[1]),
    ):
        check = getattr(checks, name)
        if check.severity != "off":
            yield Finding(
                name, "quality", f"{name.replace('_', '-')} lost, lower end of the 95 % interval", loss.low,
                check.effect, check.severity, loss.low > check.effect, rows,
                f"{was:.3f} -> {now:.3f}, lost {loss.low:.3f} to {loss.high:.3f}",
            )  # fmt: skip
    if checks.calibration.severity != "off":
        ends = quality.accuracy_interval
        gap = max(quality.confidence - ends.high, ends.low - quality.confidence)
        effect, severity = checks.calibration.effect, checks.calibration.severity
        detail = f"mean confidence {quality.confidence:.3f}, accuracy {quality.accuracy:.3f}, ECE {quality.ece:.3f}"
        yield Finding(
            "calibration", "quality", "confidence off accuracy, at the least", gap, effect, severity, gap > effect,
            rows, detail,
        )  # fmt: skip


def _pair(table: pd.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return table["label"].to_numpy(np.int64), table["answer"].to_numpy(np.int64)


def estimate(probabilities: Floats) -> Estimate:
    """Accuracy and macro-F1 to be expected from the probabilities themselves, taken as right. probabilities: [N, 7].

    Each face adds its probabilities to the column of its answer: the expected confusion table (Guillory et al. 2021,
    arXiv 2107.03315, for accuracy; confidence-based performance estimation for other figures).
    """
    table = np.zeros((K, K))
    np.add.at(table.T, probabilities.argmax(1), probabilities.astype(np.float64))
    return Estimate(len(probabilities), float(accuracy_of(table)), float(macro_f1_of(table)))
