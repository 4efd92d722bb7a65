"""The gate: every rule counts, against the right opponent, on the right images."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from components.errors import GateError
from components.evaluation.digest import images_digest
from components.evaluation.records import Interval
from components.gate import ChampionRules, Decision, EvaluatedModel, GatePolicy, NewData, decide

AT = "2026-11-24T12:00:00+00:00"
POLICY = GatePolicy()
SHARE = st.floats(0, 1)
RELATIVE = {"gain over champion", "no likely loss"}


def shown(decision: Decision) -> str:
    """The JSON form, short of what hangs on the last bit of a float."""
    raw = json.loads(decision.to_json())
    for candidate in filter(None, (raw["challenger"], raw["champion"])):
        candidate["evaluation_sha256"] = "..."
    for rule in raw["rules"]:
        rule["figure"] = round(rule["figure"], 6)
    return json.dumps(raw, indent=2)


def failed(decision: Decision) -> list[str]:
    return [rule.rule for rule in decision.rules if not rule.passed]


def test_a_good_first_model_is_promoted_by_the_absolute_rules_alone(judge, snapshot: SnapshotAssertion) -> None:
    decision = decide(judge(), None, POLICY, AT)
    assert (decision.verdict, decision.champion, failed(decision)) == ("promote", None, [])
    assert not RELATIVE & {rule.rule for rule in decision.rules}
    assert shown(decision) == snapshot


def test_a_better_challenger_replaces_the_champion(judge, snapshot: SnapshotAssertion) -> None:
    decision = decide(judge(right=0.8), judge("champion", 0.7, seed=1, version="3"), POLICY, AT)
    assert (decision.verdict, failed(decision)) == ("promote", [])
    assert shown(decision) == snapshot


def test_a_worse_challenger_is_rejected_by_both_rules_against_the_champion(judge, snapshot: SnapshotAssertion) -> None:
    decision = decide(judge(right=0.6), judge("champion", 0.75, seed=1, version="3"), POLICY, AT)
    assert (decision.verdict, failed(decision)) == ("reject", ["gain over champion", "no likely loss"])
    assert [rule.detail for rule in decision.rules if not rule.passed] == snapshot


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"ece": 0.2}, "calibration error"),
        ({"latency_ms": 101.0}, "latency"),
        ({"ece": float("nan")}, "calibration error"),
    ],
)
def test_a_figure_beyond_its_ceiling_alone_rejects(judge, with_figures, fields: dict[str, float], rule: str) -> None:
    decision = decide(with_figures(judge(), **fields), None, POLICY, AT)
    assert (decision.verdict, failed(decision)) == ("reject", [rule])


def test_a_low_macro_f1_alone_rejects(judge) -> None:
    model = judge()
    policy = POLICY.model_copy(update={"macro_f1_floor": model.evaluation.figures.macro_f1 + 1e-6})
    assert failed(decide(model, None, policy, AT)) == ["macro-F1"]
    policy = POLICY.model_copy(update={"macro_f1_floor": model.evaluation.figures.macro_f1})
    assert failed(decide(model, None, policy, AT)) == [], "the floor itself passes"


@pytest.mark.parametrize("index", range(7))
def test_one_forgotten_class_alone_rejects(judge, with_figures, index: int) -> None:
    model = judge()
    classes = list(model.evaluation.per_class)
    classes[index] = replace(classes[index], recall=0.1)
    decision = decide(with_figures(model, per_class=tuple(classes)), None, POLICY, AT)
    assert failed(decision) == [f"recall {classes[index].name}"]


def test_a_class_without_test_images_is_not_judged_and_a_named_floor_beats_the_common_one(judge, with_figures) -> None:
    model = judge()
    classes = tuple(replace(c, support=0) if c.name == "disgust" else c for c in model.evaluation.per_class)
    policy = GatePolicy(recall_floors={"happy": 0.99})
    decision = decide(with_figures(model, per_class=classes), None, policy, AT)
    assert "recall disgust" not in {rule.rule for rule in decision.rules}
    assert failed(decision) == ["recall happy"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("flip", "behaviour flip"),
        ("darker", "behaviour light"),
        ("brighter", "behaviour light"),
        ("rotated left", "behaviour rotation"),
        ("rotated right", "behaviour rotation"),
        ("jpeg", "behaviour jpeg"),
    ],
)
def test_one_unstable_behaviour_alone_rejects(judge, with_figures, change: str, rule: str) -> None:
    model = judge()
    kept = tuple(replace(b, kept_share=0.4) if b.name == change else b for b in model.evaluation.behaviour)
    decision = decide(with_figures(model, behaviour=kept), None, POLICY, AT)
    assert failed(decision) == [rule]
    assert f"({change})" in next(r.detail for r in decision.rules if r.rule == rule)


def test_a_slice_far_below_the_rest_alone_rejects_and_is_named(judge, with_figures) -> None:
    model, weak = judge(), judge(right=0.25)
    slices = (model.evaluation.slices[0], replace(weak.evaluation.slices[1], name="bright"))
    decision = decide(with_figures(model, slices=slices), None, POLICY, AT)
    assert failed(decision) == ["worst slice"]
    assert "bright images" in next(r.detail for r in decision.rules if r.rule == "worst slice")


def test_a_slice_is_excused_by_its_own_uncertainty(judge, with_figures) -> None:
    model = judge()
    f = model.evaluation.figures
    wide = replace(f.macro_f1_interval, low=0.1, high=f.macro_f1)
    part = replace(model.evaluation.slices[0], figures=replace(f, macro_f1=0.3, macro_f1_interval=wide))
    assert failed(decide(with_figures(model, slices=(part,)), None, POLICY, AT)) == []


def test_the_worst_slice_is_the_one_whose_upper_end_is_lowest(judge, with_figures) -> None:
    model = judge()
    ends = {"dark": (0.5, 0.9), "bright": (0.6, 0.65)}  # the point, and how far its interval reaches
    slices = tuple(
        replace(part, figures=replace(part.figures, macro_f1=point, macro_f1_interval=Interval(0.4, high)))
        for part, (point, high) in zip(model.evaluation.slices, ends.values(), strict=True)
    )
    assert [part.name for part in slices] == list(ends)
    decision = decide(with_figures(model, slices=slices), None, POLICY, AT)
    worst = next(rule for rule in decision.rules if rule.rule == "worst slice")
    assert worst.detail.startswith("Macro-F1 on bright images")
    assert worst.figure == pytest.approx(model.evaluation.figures.macro_f1 - 0.65)


def test_without_any_slice_large_enough_there_is_no_rule_on_slices(judge, with_figures) -> None:
    decision = decide(with_figures(judge(), slices=()), None, POLICY, AT)
    assert "worst slice" not in {rule.rule for rule in decision.rules}


def test_each_rule_against_the_champion_can_reject_alone(judge) -> None:
    challenger, champion = judge(right=0.72), judge("champion", 0.7, seed=1, version="3")
    asks_more = POLICY.model_copy(update={"champion": ChampionRules(min_gain=0.2, tolerated_loss=1)})
    assert failed(decide(challenger, champion, asks_more, AT)) == ["gain over champion"]
    tolerates_nothing = POLICY.model_copy(update={"champion": ChampionRules(min_gain=-1, tolerated_loss=0)})
    even = judge(right=0.7, seed=2)
    assert failed(decide(even, champion, tolerates_nothing, AT)) == ["no likely loss"]


def test_a_decision_tells_how_many_test_images_the_champion_has_learned(judge) -> None:
    challenger, champion = judge(right=0.72), judge("champion", 0.7, seed=1, version="3")
    told = {rule.rule: rule.detail for rule in decide(challenger, champion, POLICY, AT, champion_learned=12).rules}
    for rule in ("gain over champion", "no likely loss"):
        assert told[rule].startswith("Macro-F1 gained over champion 3, which has learned 12 of these images,")


def test_a_retraining_that_loses_on_new_images_is_rejected_however_good_it_is_elsewhere(judge) -> None:
    challenger, champion = judge(right=0.8), judge("champion", 0.7, seed=1, version="3")
    worse, better = judge(right=0.5), judge("champion", 0.6, seed=1, version="3")
    assert failed(decide(challenger, champion, POLICY, AT, new_data=(worse, better))) == ["no loss on new data"]
    assert failed(decide(challenger, champion, POLICY, AT, new_data=(better, worse))) == []
    loss = better.evaluation.figures.macro_f1 - worse.evaluation.figures.macro_f1
    excused = POLICY.model_copy(update={"champion": POLICY.champion.model_copy(update={"new_data_loss": loss + 1e-6})})
    assert failed(decide(challenger, champion, excused, AT, new_data=(worse, better))) == []


@pytest.mark.parametrize("first", [True, False])
def test_new_images_of_private_test_or_not_the_ones_an_evaluation_names_are_refused(
    judge, with_figures, first: bool
) -> None:
    def new_data(model: EvaluatedModel) -> NewData:
        return (model, judge()) if first else (judge(), model)

    private = with_figures(judge("retrained"), split="PrivateTest")
    with pytest.raises(GateError, match="retrained was evaluated on PrivateTest"):
        decide(judge(), judge("champion", version="3"), POLICY, AT, new_data=new_data(private))
    foreign = with_figures(judge("retrained"), test_digest="0" * 64)
    with pytest.raises(GateError, match="predictions of retrained are not of the test images"):
        decide(judge(), judge("champion", version="3"), POLICY, AT, new_data=new_data(foreign))


def test_both_models_are_scored_on_the_same_new_images(judge, with_figures) -> None:
    champion = judge("champion", version="3")
    other = replace(champion, predictions=champion.predictions.assign(id=champion.predictions["id"].str[::-1]))
    other = with_figures(other, test_digest=images_digest(other.predictions))
    with pytest.raises(GateError, match="champion 3 were scored on different test images"):
        decide(judge(), champion, POLICY, AT, new_data=(judge(), other))


def test_an_equal_model_passes_with_a_gain_of_exactly_nothing(judge) -> None:
    champion = judge("champion", seed=4, version="3")
    decision = decide(judge(seed=4), champion, POLICY, AT)
    assert {rule.rule: rule.figure for rule in decision.rules if rule.rule in RELATIVE} == dict.fromkeys(RELATIVE, 0.0)
    assert decision.verdict == "promote"


def test_models_scored_on_different_images_are_not_compared(judge, with_figures) -> None:
    champion = judge("champion", version="3")
    champion.predictions.loc[0, "id"] = "0" * 15 + "x"
    with pytest.raises(GateError, match="predictions of champion are not of the test images"):
        decide(judge(), champion, POLICY, AT)
    champion = with_figures(champion, test_digest=images_digest(champion.predictions))
    with pytest.raises(GateError, match="champion 3 were scored on different test images"):
        decide(judge(), champion, POLICY, AT)


def test_figures_of_private_test_are_refused(judge, with_figures) -> None:
    with pytest.raises(GateError, match="PrivateTest, which no choice may rest on"):
        decide(with_figures(judge(), split="PrivateTest"), None, POLICY, AT)


def test_an_evaluation_without_a_behaviour_the_policy_asks_about_is_refused(judge, with_figures) -> None:
    model = judge()
    with pytest.raises(GateError, match="what 'jpeg' does"):
        decide(with_figures(model, behaviour=model.evaluation.behaviour[:-1]), None, POLICY, AT)


@given(right=SHARE, before=SHARE, floor=SHARE, tolerated=SHARE)
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_decision_promotes_when_all_its_rules_pass_and_survives_json(
    judge, right: float, before: float, floor: float, tolerated: float
) -> None:
    policy = GatePolicy(macro_f1_floor=floor, champion=ChampionRules(tolerated_loss=tolerated))
    decision = decide(judge(right=right), judge("champion", before, 1, "3"), policy, AT)
    assert (decision.verdict == "promote") is (not failed(decision))
    assert Decision.from_json(decision.to_json()) == decision


def test_the_same_inputs_give_the_same_decision_to_the_byte_and_another_time_another_one(judge) -> None:
    first, again = (decide(judge(right=0.8), judge("champion", version="3"), POLICY, AT) for _ in range(2))
    assert first.to_json() == again.to_json()
    other = decide(judge(right=0.8), judge("champion", version="3"), POLICY, "2026-11-25T12:00:00+00:00")
    assert other.to_json() != first.to_json()


def test_a_decision_of_now_carries_its_time_in_utc(judge) -> None:
    assert decide(judge(), None, POLICY).decided_at.endswith("+00:00")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda raw: {**raw, "schema_version": 2}, "schema_version 2"),
        (lambda raw: {**raw, "verdict": "reject"}, "its rules say otherwise"),
        (lambda raw: {**raw, "rules": []}, "its rules say otherwise"),
        (lambda raw: {**raw, "mood": "good"}, "lacks or adds a field"),
        (lambda raw: "promote", "is no JSON record"),
    ],
)
def test_a_decision_that_was_tampered_with_is_refused(judge, damage, words: str) -> None:
    raw = json.loads(decide(judge(), None, POLICY, AT).to_json())
    with pytest.raises(GateError, match=words):
        Decision.from_json(json.dumps(damage(raw)))


def test_a_decision_against_a_champion_stands_where_there_is_none(judge) -> None:
    """As a release takes it along: what is left are the rules for a first model."""
    model = judge(right=0.8)
    taken = decide(model, judge("champion", 0.7, seed=1, version="3"), POLICY, AT).where_none_is_champion()
    assert taken == decide(model, None, POLICY, AT)
