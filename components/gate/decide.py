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
from components.evaluation.digest import images_digest
from components.evaluation.records import Evaluation
from components.gate.policy import GatePolicy
from components.gate.records import Candidate, Decision, RuleVerdict
from components.labels import CLASSES, PRIVATE_TEST

CHANGES_OF_RULE = {
    "flip": ("flip",),
    "light": ("darker", "brighter"),
    "rotation": ("rotated left", "rotated right"),
    "jpeg": ("jpeg",),
}
"""Field of BehaviourFloors -> the changes of components/evaluation/behaviour.py that it speaks of."""


@dataclass(frozen=True)
class EvaluatedModel:
    """A model with its figures, as the gate takes it."""

    name: str
    version: str | None
    """Registered version, where it has one."""
    model_sha256: str
    evaluation: Evaluation
    predictions: pd.DataFrame
    """predictions.parquet of the evaluation: id, label, p_<class>."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64 [N], true classes."""
        return self.predictions["label"].to_numpy(np.int64)

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        """int64 [N], predicted classes."""
        probabilities = self.predictions[[f"p_{name}" for name in CLASSES]].to_numpy(np.float32)
        classes: npt.NDArray[np.int64] = probabilities.argmax(1).astype(np.int64)
        return classes

    def candidate(self) -> Candidate:
        """The model as a decision names it."""
        sha256 = hashlib.sha256(self.evaluation.to_json().encode()).hexdigest()
        return Candidate(self.name, self.model_sha256, self.version, sha256)


NewData = tuple[EvaluatedModel, EvaluatedModel]
"""Challenger and champion on new labelled images that neither was trained on."""


def decide(
    challenger: EvaluatedModel,
    champion: EvaluatedModel | None,
    policy: GatePolicy,
    decided_at: str | None = None,
    new_data: NewData | None = None,
    champion_learned: int = 0,
) -> Decision:
    """Every rule with its figure and verdict; all must pass. The first model meets the absolute rules alone.

    decided_at: ISO time, now by default. new_data: of a retraining, which must not lose there either.
    champion_learned: how many of the test images the champion was trained on, which the rules against it then tell.
    Raises GateError where the two were scored on different test images, where an evaluation and its predictions do not
    belong together, and for figures taken on PrivateTest.
    """
    e = challenger.evaluation
    _check(challenger)
    if champion:
        _check(champion)
        _check_same_images(challenger, champion)
    rules = [*_absolute(e, policy), *(_relative(challenger, champion, policy, champion_learned) if champion else ())]
    if new_data:
        rules.append(_new_data(*new_data, policy))
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


def _check(model: EvaluatedModel) -> None:
    if model.evaluation.split == PRIVATE_TEST:
        raise GateError(
            f"{model.name} was evaluated on {PRIVATE_TEST}, which no choice may rest on; the gate takes other splits."
        )
    if images_digest(model.predictions) != model.evaluation.test_digest:
        raise GateError(
            f"predictions of {model.name} are not of the test images its evaluation names "
            f"({model.evaluation.test_digest[:16]}): evaluate it again."
        )


def _check_same_images(challenger: EvaluatedModel, champion: EvaluatedModel) -> None:
    ours, theirs = challenger.evaluation, champion.evaluation
    if ours.test_digest != theirs.test_digest:
        raise GateError(
            f"challenger {challenger.name} and champion {champion.version} were scored on different test images "
            f"({ours.split} {ours.test_digest[:16]}, n = {ours.figures.n}, and {theirs.split} "
            f"{theirs.test_digest[:16]}, n = {theirs.figures.n}): evaluate both on one dataset version."
        )


def _floor(rule: str, figure: float, threshold: float, detail: str) -> RuleVerdict:
    """Passed from the threshold upwards; a figure that is no number fails."""
    sentence = f"{detail} is {figure:.3f}; at least {threshold:.3f} is asked."
    return RuleVerdict(rule, float(figure), threshold, bool(figure >= threshold), sentence)


def _ceiling(rule: str, figure: float, threshold: float, detail: str) -> RuleVerdict:
    """Passed up to the threshold; a figure that is no number fails."""
    sentence = f"{detail} is {figure:.3f}; at most {threshold:.3f} is allowed."
    return RuleVerdict(rule, float(figure), threshold, bool(figure <= threshold), sentence)


def _absolute(e: Evaluation, policy: GatePolicy) -> Iterator[RuleVerdict]:
    where = f"on {e.split}, n = {e.figures.n},"
    yield _floor("macro-F1", e.figures.macro_f1, policy.macro_f1_floor, f"Macro-F1 {where}")
    for c in e.per_class:
        if c.support:  # a class that no test image bears has no recall
            yield _floor(f"recall {c.name}", c.recall, policy.floor_of(c.name), f"Recall of {c.name}, n = {c.support},")
    yield _ceiling("calibration error", e.ece, policy.ece_ceiling, "Calibration error after the temperature")
    yield _ceiling("latency", e.latency_ms, policy.latency_ms_ceiling, "Median time for one image, in milliseconds,")
    yield from _worst_slice(e, policy.slice_gap)
    yield from _behaviour(e, policy)


def _worst_slice(e: Evaluation, allowed: float) -> Iterator[RuleVerdict]:
    """The slice whose upper end lies furthest below; none where no slice was large enough to measure."""
    worst = min(e.slices, key=lambda part: part.figures.macro_f1_interval.high, default=None)
    if worst:
        f = worst.figures
        gap = e.figures.macro_f1 - f.macro_f1_interval.high
        detail = (
            f"Macro-F1 on {worst.name} images, n = {f.n}, is {f.macro_f1:.3f}, its interval reaches "
            f"{f.macro_f1_interval.high:.3f}; the distance from there up to all images"
        )
        yield _ceiling("worst slice", gap, allowed, detail)


def _behaviour(e: Evaluation, policy: GatePolicy) -> Iterator[RuleVerdict]:
    kept = {b.name: b for b in e.behaviour}
    for rule, changes in CHANGES_OF_RULE.items():
        missing = [change for change in changes if change not in kept]
        if missing:
            raise GateError(
                f"the evaluation of {e.model} does not tell what {missing[0]!r} does to its answers; it has "
                f"{', '.join(kept) or 'no change at all'}. Evaluate it again."
            )
        worst = min((kept[change] for change in changes), key=lambda b: b.kept_share)
        floor: float = getattr(policy.behaviour, rule)
        yield _floor(
            f"behaviour {rule}", worst.kept_share, floor, f"Share of {worst.n} answers that stay ({worst.name})"
        )


def _new_data(challenger: EvaluatedModel, champion: EvaluatedModel, policy: GatePolicy) -> RuleVerdict:
    for model in (challenger, champion):
        _check(model)
    _check_same_images(challenger, champion)
    ours, theirs = challenger.evaluation.figures, champion.evaluation.figures
    interval = paired_difference(challenger.labels, challenger.answers, champion.answers, policy.champion.confidence)
    detail = (
        f"Macro-F1 gained over champion {champion.version or champion.name} on new labelled images, n = {ours.n}, "
        f"{100 * policy.champion.confidence:g} % interval {interval.low:.3f} to {interval.high:.3f},"
    )
    return _floor("no loss on new data", ours.macro_f1 - theirs.macro_f1, -policy.champion.new_data_loss, detail)


def _relative(
    challenger: EvaluatedModel, champion: EvaluatedModel, policy: GatePolicy, learned: int
) -> Iterator[RuleVerdict]:
    """Paired on the same images: what both get right or wrong cancels. learned: of them by the champion."""
    rules = policy.champion
    gain = challenger.evaluation.figures.macro_f1 - champion.evaluation.figures.macro_f1
    interval = paired_difference(challenger.labels, challenger.answers, champion.answers, rules.confidence)
    against = f"Macro-F1 gained over champion {champion.version or champion.name}"
    if learned:
        against += f", which has learned {learned} of these images,"
    yield _floor("gain over champion", gain, rules.min_gain, against)
    yield _floor(
        "no likely loss",
        interval.low,
        -rules.tolerated_loss,
        f"{against}, paired bootstrap on n = {len(challenger.labels)}, {100 * rules.confidence:g} % interval up to "
        f"{interval.high:.3f}: its lower end",
    )
