"""The policy file: what ships is valid, and a slip in it is told by file and key."""

from pathlib import Path

import pytest

from components.errors import RecipeError
from components.gate import BehaviourFloors, ChampionRules, GatePolicy, load_policy

SHIPPED = Path(__file__).parents[2] / "infra" / "policy" / "gate.yaml"
MODELS = (GatePolicy, BehaviourFloors, ChampionRules)


def test_the_shipped_policy_names_every_key_with_its_default() -> None:
    assert load_policy(SHIPPED) == load_policy() == GatePolicy()
    text = SHIPPED.read_text()
    assert [name for model in MODELS for name in model.model_fields if f"{name}:" not in text] == []


def test_every_rule_says_what_it_means() -> None:
    fields = {name: field for model in MODELS for name, field in model.model_fields.items()}
    assert [name for name, field in fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gate: {macro_f1: 0.5}", r"gate\.macro_f1: .*Keys are macro_f1_floor"),
        ("gate: {macro_f1_floor: 1.5}", r"gate\.macro_f1_floor: .*less than or equal to 1.*1\.5"),
        ("gate: {recall_floors: {joy: 0.5}}", r"gate\.recall_floors: .*'joy' is no class; classes are angry"),
        ("gate: {recall_floors: {happy: 2}}", r"gate\.recall_floors\.happy"),
        ("gate: {behaviour: {flipp: 0.5}}", r"gate\.behaviour\.flipp"),
        ("gate: {champion: {confidence: 1}}", r"gate\.champion\.confidence"),
        ("gate: {ece_ceiling: .nan}", r"gate\.ece_ceiling"),
        ("gates: {}", "one section, `gate`; it holds gates"),
        ("gate: {}\ndrift: {}", "it holds gate, drift"),
        ("- 1", "it holds list"),
        ("gate: [", "cannot be read"),
    ],
)
def test_a_slip_in_the_policy_is_told_by_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=words) as caught:
        load_policy(path)
    assert str(path) in str(caught.value)


def test_a_policy_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        load_policy(tmp_path / "none.yaml")


def test_a_policy_cannot_be_changed_once_made() -> None:
    with pytest.raises(ValueError, match="frozen"):
        GatePolicy().macro_f1_floor = 0.0
