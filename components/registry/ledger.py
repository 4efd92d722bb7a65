"""The append-only history of a model, in the store: `ledger/<model>/<number>.json`, one object an entry.

An entry is created only where there is none, so of two processes that saw the same history one gets the next number
and the other learns of it: appending a promotion is the compare-and-swap, on one machine and across several.
"""

import re
from dataclasses import replace

from components.errors import ChampionChanged
from components.registry.records import LedgerEntry
from components.store import Store

History = tuple[LedgerEntry, ...]


def history(store: Store, model: str) -> History:
    """Every entry, oldest first."""
    prefix = f"ledger/{model}/"
    names = sorted(name for name in store.list(prefix) if re.fullmatch(re.escape(prefix) + r"\d{8}\.json", name))
    return tuple(LedgerEntry.from_json(store.read_bytes(name).decode()) for name in names)


def append(store: Store, entry: LedgerEntry) -> History:
    """Put an entry after whatever there is; returns the history that ends with it."""
    while True:
        seen = history(store, entry.model)
        if done := _create(store, entry, seen):
            return done


def commit(store: Store, entry: LedgerEntry, seen: History) -> History:
    """Append an entry that moves the champion, judged on the history `seen`; returns the history that ends with it.

    Raises ChampionChanged where the champion has moved since.
    """
    while True:
        if done := _create(store, entry, seen):
            return done
        now = history(store, entry.model)
        moved = next((other for other in now[len(seen) :] if other.moves_champion), None)
        if moved:
            raise ChampionChanged(
                f"{entry.action} of {entry.model} version {entry.to_version}: {moved.who} made version "
                f"{moved.to_version} champion at {moved.at}, in the meantime. Run the gate again."
            )
        seen = now


def _create(store: Store, entry: LedgerEntry, seen: History) -> History:
    """The history with the entry, or nothing where its number is taken."""
    numbered = replace(entry, number=seen[-1].number + 1 if seen else 1)
    name = f"ledger/{entry.model}/{numbered.number:08d}.json"
    return (*seen, numbered) if store.create(name, numbered.to_json().encode()) else ()
