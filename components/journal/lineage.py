"""Dataset versions made of logged predictions, as long as nothing was trained on them: there a deletion still reaches.

feedback/<fingerprint>.json    {"datasets": [URI, ...], "ids": [...], "trained": false}
feedback/making-<hex>          one is being made of the log as it was: a deletion meanwhile takes this mark away
"""

import json
import uuid
from collections.abc import Callable
from typing import Any

from components.predictions import day_of
from components.store import Store

ROOM = "feedback"
MAKING = f"{ROOM}/making-"


def begin(store: Store) -> str:
    """Mark, before the log is read, that a version is being made of it; the mark's name."""
    mark = f"{MAKING}{uuid.uuid4().hex}"
    store.put_bytes(mark, b"")
    return mark


def note(store: Store, fingerprint: str, datasets: list[str], ids: list[str]) -> None:
    """Record which predictions' images are in dataset versions. What a model has learned from stays marked so."""
    name = f"{ROOM}/{fingerprint}.json"
    trained = store.exists(name) and bool(_read(store, name)["trained"])
    _write(store, fingerprint, {"schema_version": 1, "datasets": datasets, "ids": ids, "trained": trained})


def mark_trained(store: Store, fingerprint: str) -> None:
    """A model is about to be registered that learned from it: the version is part of its lineage, and stays.

    Nothing happens where the version was not made of predictions.
    """
    name = f"{ROOM}/{fingerprint}.json"
    if store.exists(name):
        _write(store, fingerprint, {**_read(store, name), "trained": True})


def learned(store: Store) -> set[str]:
    """Ids of the predictions that models have learned from or were judged on."""
    return {id for record in _records(store).values() if record["trained"] for id in record["ids"]}


def forget(store: Store, id: str) -> list[str]:
    """Remove dataset versions with this prediction's image that nothing was trained on; their URIs."""
    for mark in store.list(MAKING):  # what is being made may hold it: its maker finds the mark gone, and begins anew
        store.delete(mark)
    return _remove(store, lambda _, ids: id in ids)


def expire(store: Store, before: str) -> list[str]:
    """The same for versions with a prediction of a day before one, such as 2026-11-25."""
    return _remove(store, lambda _, ids: any(day_of(id) < before for id in ids))


def discard(store: Store, fingerprint: str) -> list[str]:
    """Take back a version that was just made, unless a model has learned from it before; the URIs that went."""
    return _remove(store, lambda name, _: name == f"{ROOM}/{fingerprint}.json")


def _remove(store: Store, chosen: Callable[[str, list[str]], bool]) -> list[str]:
    records = _records(store)
    kept = {uri for record in records.values() if record["trained"] for uri in record["datasets"]}
    gone: list[str] = []
    for name, record in records.items():
        if not record["trained"] and chosen(name, record["ids"]):
            for uri in set(record["datasets"]) - kept:  # the same held-back images may serve two
                store.delete(uri)
                gone.append(uri)
            store.delete(name)  # last: after a kill the next deletion still finds it
    return gone


def _records(store: Store) -> dict[str, dict[str, Any]]:
    return {name: _read(store, name) for name in store.list(f"{ROOM}/") if name.endswith(".json")}


def _read(store: Store, name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(store.read_bytes(name))
    return record


def _write(store: Store, fingerprint: str, record: dict[str, Any]) -> None:
    store.put_bytes(f"{ROOM}/{fingerprint}.json", json.dumps(record).encode())
