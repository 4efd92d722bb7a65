"""Hold a challenger against the policy and, where there is one, against the champion."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.errors import GateError
from components.evaluation.bootstrap import paired_difference
from components.evaluation.records import Evaluation
from components.gate.policy import GatePolicy
from components.gate.records import Candidate, Decision, RuleVerdict
from components.labels import CLASSES


@dataclass(frozen=True)
class EvaluatedModel:
    """A model with its figures, as the gate takes it."""

    name: str
    version: str | None
    model_sha256: str
    evaluation: Evaluation
    predictions: pd.DataFrame
    """predictions.parquet of the evaluation: id, label, p_<class>."""

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        """int64 [N], predicted classes."""
        return self.predictions[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(1).astype(np.int64)

    def candidate(self) -> Candidate:
        """The model as a decision names it."""
        sha256 = hashlib.sha256(self.evaluation.to_json().encode()).hexdigest()
        return Candidate(self.name, self.model_sha256, self.version, sha256)


def decide(
    challenger: EvaluatedModel, champion: EvaluatedModel | None, policy: GatePolicy, decided_at: str | None = None
) -> Decision:
    """Every rule with its figure and verdict; all must pass. The first model meets the absolute rules alone.

    decided_at: ISO time, now by default. Raises GateError where the two were scored on different test images.
    """
    e = challenger.evaluation
    if champion and champion.evaluation.test_digest != e.test_digest:
        raise GateError(
            f"challenger {challenger.name} and champion {champion.version} were scored on different test images "
            f"({e.test_digest[:16]} and {champion.evaluation.test_digest[:16]}): evaluate both on one dataset version."
        )
    rules = [*_absolute(e, policy), *(_relative(challenger, champion, policy) if champion else ())]
    return Decision(
        decided_at=decided_at or datetime.now(UTC).isoformat(timespec="seconds"),
        verdict="promote" if all(rule.passed for rule in rules) else "reject",
        challenger=challenger.candidate(),
        champion=champion.candidate() if champion else None,
        dataset_fingerprint=e.dataset_fingerprint,
        split=e.split,
        test_digest=e.test_digest,
        n=e.figures.n,
        policy=policy.model_dump(mode="json"),
        rules=tuple(rules),
    )


def _floor(rule: str, figure: float, threshold: float, detail: str) -> RuleVerdict:
    return RuleVerdict(rule, figure, threshold, bool(figure >= threshold), detail)


def _ceiling(rule: str, figure: float, threshold: float, detail: str) -> RuleVerdict:
    return RuleVerdict(rule, figure, threshold, bool(figure <= threshold), detail)


def _absolute(e: Evaluation, policy: GatePolicy) -> Iterator[RuleVerdict]:
    yield _floor("macro-F1", e.figures.macro_f1, policy.macro_f1_floor, f"on {e.split}, n = {e.figures.n}, at least")
    for c in e.per_class:
        if c.support:
            yield _floor(f"recall {c.name}", c.recall, policy.floor_of(c.name), f"n = {c.support}, at least")
    yield _ceiling("calibration error", e.ece, policy.ece_ceiling, "after the temperature, at most")
    yield _ceiling("latency", e.latency_ms, policy.latency_ms_ceiling, "milliseconds for one image, at most")
    worst = max(e.slices, key=lambda s: e.figures.accuracy - s.figures.accuracy, default=None)
    if worst:
        gap = e.figures.accuracy - worst.figures.accuracy
        yield _ceiling("worst slice", gap, policy.slice_gap, f"accuracy lost on {worst.name!r} images, at most")
    for b in e.behaviour:
        if b.name in policy.behaviour_floors:
            floor = policy.behaviour_floors[b.name]
            yield _floor(f"behaviour {b.name}", b.kept_share, floor, f"share of {b.n} answers that stay, at least")


def _relative(challenger: EvaluatedModel, champion: EvaluatedModel, policy: GatePolicy) -> Iterator[RuleVerdict]:
    """Paired on the same images: what both get right or wrong cancels."""
    gain = challenger.evaluation.figures.macro_f1 - champion.evaluation.figures.macro_f1
    labels = challenger.predictions["label"].to_numpy(np.int64)
    interval = paired_difference(labels, challenger.answers, champion.answers, policy.confidence)
    yield _floor("gain over champion", gain, policy.min_gain, f"macro-F1 over version {champion.version}, at least")
    detail = f"lower end of the {100 * policy.confidence:.0f} % paired bootstrap interval of that gain, at least"
    yield _floor("no likely loss", interval.low, -policy.tolerated_loss, detail)
