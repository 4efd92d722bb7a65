"""Who answers whom."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.roles import Roles


def model(version: str, status: str = "registered") -> SimpleNamespace:
    return SimpleNamespace(version=SimpleNamespace(version=version, model_sha256=f"sha {version}", status=status))


def roles(canary: float, shadow: bool, challenger: SimpleNamespace | None, wanted: str = "champion") -> Roles:
    champion = SimpleNamespace(wanted=wanted, model=lambda: model("1"))
    return Roles(champion, SimpleNamespace(current=challenger), canary, shadow)  # type: ignore[arg-type]


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_client_that_had_the_challenger_keeps_it_when_the_share_grows(client: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    before = roles(low, False, model("2")).choose(client).role
    after = roles(high, False, model("2")).choose(client).role
    assert before == "champion" or after == "canary"


def test_the_share_of_clients_is_the_share_that_was_asked_for() -> None:
    chosen = [roles(0.2, False, model("2")).choose(f"client {k}").role for k in range(5000)]
    assert chosen.count("canary") / 5000 == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("challenger", [None, model("1"), model("2", "rejected")], ids=["none", "same", "rejected"])
def test_without_a_challenger_worth_asking_the_champion_answers_alone(challenger: SimpleNamespace | None) -> None:
    chosen = roles(1.0, True, challenger).choose("anybody")
    assert (chosen.role, chosen.model.version.version, chosen.shadow) == ("champion", "1", None)


def test_a_shadow_is_no_canary() -> None:
    found = roles(0.0, True, model("2")).choose("anybody")
    assert found.shadow is not None
    assert (found.role, found.shadow.version.version) == ("champion", "2")
    assert roles(1.0, True, model("2")).choose("anybody").shadow is None
    assert roles(0.0, False, model("2"), wanted="1").choose("anybody").role == "pinned"
