"""The policy file: defaults, edits, mistakes."""

from pathlib import Path

import pytest

from components.errors import RecipeError
from components.validation import Tolerance, ValidationPolicy, load_policy
from components.validation.checks import dataset_checks

SHIPPED = Path(__file__).parents[2] / "infra" / "policy" / "validation.yaml"


def test_the_shipped_file_states_every_default() -> None:
    assert load_policy(SHIPPED) == ValidationPolicy() == load_policy()
    text = SHIPPED.read_text()
    assert all(f"{name}:" in text for name in ValidationPolicy.model_fields)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("validation: {constnat: {blocking: 0.1}}", "validation.constnat"),
        ("validation: {constant: {blocking: -1}}", r"validation\.constant\.blocking: .*-1"),
        ("validation: {constant: {warning: 0.5, blocking: 0.1}}", "warning comes first"),
        ("gate: {}", "one section, `validation`; it holds gate"),
        ("validation: [", "cannot be read"),
    ],
)
def test_a_wrong_policy_is_named_by_its_key(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=says):
        load_policy(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        load_policy(tmp_path / "none.yaml")


def test_an_empty_limit_switches_its_severity_off() -> None:
    policy = ValidationPolicy(constant=Tolerance(warning=0))
    asked = [check.severity for check in dataset_checks(policy, None, 100) if check.name == "constant"]
    assert asked == ["warning"]


def test_few_repeated_images_never_block() -> None:
    for repeated, severities in ((19, ["warning"]), (20, ["blocking", "warning"])):
        checks = dataset_checks(ValidationPolicy(), None, repeated)
        assert [check.severity for check in checks if check.name == "conflicting"] == severities
