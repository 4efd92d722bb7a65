"""Dataset versions made of logged predictions, as long as nothing was trained on them: there a deletion still reaches.

feedback/<fingerprint>.json    {"datasets": [URI, ...], "ids": [...], "trained": false}
"""

import json
from typing import Any

from components.store import Store

ROOM = "feedback"


def note(store: Store, fingerprint: str, datasets: list[str], ids: list[str]) -> None:
    """Record which predictions' images are in dataset versions that were just made."""
    _write(store, fingerprint, {"schema_version": 1, "datasets": datasets, "ids": ids, "trained": False})


def mark_trained(store: Store, fingerprint: str) -> None:
    """A model has learned from it: the version is part of that model's lineage, and stays."""
    _write(store, fingerprint, {**_read(store, f"{ROOM}/{fingerprint}.json"), "trained": True})


def forget(store: Store, id: str) -> list[str]:
    """Remove dataset versions with this prediction's image that nothing was trained on; their URIs."""
    records = {name: _read(store, name) for name in store.list(f"{ROOM}/")}
    kept = {uri for record in records.values() if record["trained"] for uri in record["datasets"]}
    gone: list[str] = []
    for name, record in records.items():
        if not record["trained"] and id in record["ids"]:
            for uri in set(record["datasets"]) - kept:  # the same held-back images may serve two
                store.delete(uri)
                gone.append(uri)
            store.delete(name)  # last: after a kill the next deletion still finds it
    return gone


def _read(store: Store, name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(store.read_bytes(name))
    return record


def _write(store: Store, fingerprint: str, record: dict[str, Any]) -> None:
    store.put_bytes(f"{ROOM}/{fingerprint}.json", json.dumps(record).encode())
