"""The ledger: roundtrip, order, and that a number is given once."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import ChampionChanged, RegistryError
from components.registry import LedgerEntry, append, history
from components.registry.ledger import commit
from components.store import LocalStore

text = st.text(max_size=30)
entries = st.builds(
    LedgerEntry,
    at=st.datetimes().map(lambda moment: moment.isoformat(timespec="microseconds") + "+00:00"),
    who=text,
    action=st.sampled_from(["register", "reject", "promote", "rollback", "open"]),
    model=st.just("faces"),
    from_version=st.none() | text,
    to_version=text,
    model_sha256=text,
    reason=text,
    decision_uri=st.none() | text,
    forced=st.booleans(),
    number=st.integers(0, 10**8 - 1),
)
ENTRY = LedgerEntry("2026-01-01T00:00:00.000000+00:00", "ada", "promote", "faces", None, "1", "a" * 64)


@given(entries)
def test_an_entry_survives_its_json(entry: LedgerEntry):
    assert LedgerEntry.from_json(entry.to_json()) == entry


@given(st.lists(entries, max_size=6))
def test_history_is_what_was_appended_in_order(tmp_path_factory: pytest.TempPathFactory, wanted: list[LedgerEntry]):
    store = LocalStore(tmp_path_factory.mktemp("store"))
    for entry in wanted:
        append(store, entry)
    found = history(store, "faces")
    assert [entry.number for entry in found] == list(range(1, len(wanted) + 1))
    assert [(e.at, e.action, e.reason) for e in found] == [(e.at, e.action, e.reason) for e in wanted]


def test_appends_at_once_all_arrive(tmp_path: Path):
    store = LocalStore(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: append(store, ENTRY), range(24)))
    assert [entry.number for entry in history(store, "faces")] == list(range(1, 25))


def test_a_move_judged_on_an_old_history_is_refused(tmp_path: Path):
    store = LocalStore(tmp_path)
    commit(store, ENTRY, ())
    with pytest.raises(ChampionChanged, match=r"ada made version 1 champion .* Run the gate again"):
        commit(store, ENTRY, ())


def test_a_registration_in_between_does_not_hinder_a_move(tmp_path: Path):
    store = LocalStore(tmp_path)
    append(store, LedgerEntry(ENTRY.at, "ada", "register", "faces", None, "1", "a" * 64))
    assert [entry.action for entry in commit(store, ENTRY, ())] == ["register", "promote"]


def test_ledgers_of_models_whose_names_begin_alike_stay_apart(tmp_path: Path):
    store = LocalStore(tmp_path)
    append(store, LedgerEntry(ENTRY.at, "ada", "register", "faces-2", None, "1", "a" * 64))
    assert history(store, "faces") == ()


@pytest.mark.parametrize("change", [{"schema_version": 99}, {"action": "crown"}, {"who": None, "unknown": 1}])
def test_an_entry_of_another_form_is_an_error_that_says_so(change: dict[str, object]):
    with pytest.raises(RegistryError, match="ledger entry"):
        LedgerEntry.from_json(json.dumps(json.loads(ENTRY.to_json()) | change))
