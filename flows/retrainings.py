"""Which retrainings were started, and whether another one may be: `retrainings/<number>.json`, append-only."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from components.drift.policy import RetrainPolicy
from components.store import Store

ROOM = "retrainings"


@dataclass(frozen=True)
class Retraining:
    """One that was started."""

    at: str
    """ISO 8601, UTC."""
    reason: str
    champion: str
    """Version whose data and recipe it goes on from."""
    dataset: str
    """URI of the new dataset version."""
    number: int
    schema_version: int = 1


def started(store: Store) -> list[Retraining]:
    """All of them, oldest first."""
    return [Retraining(**json.loads(store.read_bytes(name))) for name in store.list(f"{ROOM}/")]


def hindrance(before: list[Retraining], policy: RetrainPolicy, now: datetime) -> str:
    """Why none may start now, in words; empty where one may."""
    ages = [now - datetime.fromisoformat(each.at) for each in before]
    rest = timedelta(hours=policy.cool_down_hours)
    if ages and min(ages) < rest:
        return f"the last retraining started {_hours(min(ages))} ago; the cool-down is {policy.cool_down_hours:g} hours"
    today = sum(age < timedelta(days=1) for age in ages)
    if today >= policy.daily_cap:
        return f"{today} retrainings started within 24 hours; the cap is {policy.daily_cap}"
    return ""


def start(store: Store, before: list[Retraining], reason: str, champion: str, dataset: str) -> bool:
    """Write one down; False where another began since. before: those of which `hindrance` was asked."""
    number = len(before) + 1
    entry = Retraining(datetime.now(UTC).isoformat(), reason, champion, dataset, number)
    return store.create(f"{ROOM}/{number:06d}.json", json.dumps(asdict(entry), indent=1).encode())


def _hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} hours"
