"""Which retrainings may start: cool-down, cap, and two that asked at the same time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from components.drift.policy import RetrainPolicy
from components.store import LocalStore
from flows.retrainings import hindrance, start, started


def test_of_two_that_asked_before_either_began_one_starts(tmp_path: Path) -> None:
    """The weekly one makes its data for minutes while an alarm's asks and finds nothing in its way."""
    store, policy = LocalStore(tmp_path), RetrainPolicy()
    weekly = started(store)
    assert hindrance(weekly, policy, datetime.now(UTC)) == ""
    alarms = started(store)
    assert hindrance(alarms, policy, datetime.now(UTC)) == ""
    assert start(store, weekly, "schedule", "1", "datasets/a")
    assert not start(store, alarms, "drift", "1", "datasets/b")
    (entry,) = started(store)
    assert (entry.reason, entry.number) == ("schedule", 1)


def test_the_next_one_waits_for_cool_down_and_cap(tmp_path: Path) -> None:
    store, policy = LocalStore(tmp_path), RetrainPolicy(cool_down_hours=2, daily_cap=2)
    now = datetime.now(UTC)
    assert start(store, [], "drift", "1", "datasets/a")
    assert "the cool-down is 2 hours" in hindrance(started(store), policy, now + timedelta(hours=1))
    assert hindrance(started(store), policy, now + timedelta(hours=3)) == ""
    assert start(store, started(store), "drift", "2", "datasets/b")
    assert "the cap is 2" in hindrance(started(store), policy, now + timedelta(hours=3))
    assert hindrance(started(store), policy, now + timedelta(hours=25)) == ""
