"""Aliases and tags follow the ledger: what they must say, and making them say it.

The ledger is written first, and what it says is then carried over by writes that each may be repeated. So a process
killed at any point leaves either nothing (no entry yet) or an entry whose rest the next `settle` does.
An alias moved by hand in MLflow is put back; a ledger whose versions the registry does not hold is left alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from components.registry.ledger import History
from components.registry.mlflow import STATUS, Registry
from components.registry.records import CHALLENGER, CHAMPION, PREVIOUS, LedgerEntry, ModelVersion, Status

DECISION = "ferline.decision"


@dataclass(frozen=True)
class Standing:
    """Where every version stands, by the ledger."""

    aliases: Mapping[str, str | None]
    """Alias -> version, None for no version; an alias of which the ledger says nothing is absent."""
    tags: Mapping[str, Mapping[str, str]]
    """Version -> tag -> value."""


def standing(entries: History, versions: Mapping[str, ModelVersion]) -> Standing:
    """Replay the ledger over the versions that the registry holds."""

    def known(entry: LedgerEntry) -> bool:
        found = versions.get(entry.to_version)
        return found is not None and found.model_sha256 == entry.model_sha256

    tags: dict[str, dict[str, str]] = {}
    for entry in filter(known, entries):
        for version, status in _statuses(entry).items():
            if version in versions and not (status == "rejected" and _is_rolled_back(tags, version)):
                tags.setdefault(version, {})[STATUS] = status
        if entry.decision_uri:
            tags.setdefault(entry.to_version, {})[DECISION] = entry.decision_uri
    aliases: dict[str, str | None] = {}
    moves = [entry for entry in entries if entry.moves_champion]
    if moves and known(moves[-1]):
        before = moves[-1].from_version
        aliases = {PREVIOUS: before if before in versions else None, CHAMPION: moves[-1].to_version}
    registered = [entry.to_version for entry in entries if entry.action == "register" and known(entry)]
    if registered:
        waits = tags[registered[-1]][STATUS] == "registered"
        aliases[CHALLENGER] = registered[-1] if waits else None
    return Standing(aliases, tags)


def settle(registry: Registry, entries: History) -> tuple[str, ...]:
    """Make aliases and tags agree with the ledger; returns what was changed, in words."""
    versions = {version.version: version for version in registry.versions()}
    wanted = standing(entries, versions)
    changes = []
    for (
        alias,
        version,
    ) in wanted.aliases.items():  # `previous` before `champion`, so that a rollback always has its target
        holder = next((v.version for v in versions.values() if alias in v.aliases), None)
        if holder == version:
            continue
        if version is None:
            registry.delete_alias(alias)
        else:
            registry.set_alias(alias, version)
        changes.append(f"{alias}: {holder or 'none'} -> {version or 'none'}")
    for version, tags in wanted.tags.items():
        for name, value in tags.items():
            held = versions[version].status if name == STATUS else versions[version].tags.get(name)
            if held != value:
                registry.set_tag(version, name, value)
                changes.append(f"version {version}, {name}: {held or 'none'} -> {value}")
    return tuple(changes)


def _is_rolled_back(tags: Mapping[str, Mapping[str, str]], version: str) -> bool:
    """Which a later rejection leaves as it is: the next passing decision must not undo the rollback."""
    return tags.get(version, {}).get(STATUS) == "rolled-back"


def _statuses(entry: LedgerEntry) -> dict[str, Status]:
    """Version -> status that an entry gives."""
    match entry.action:
        case "register":
            return {entry.to_version: "registered"}
        case "reject":
            return {entry.to_version: "rejected"}
        case "promote" | "rollback":
            left: Status = "retired" if entry.action == "promote" else "rolled-back"
            return ({entry.from_version: left} if entry.from_version else {}) | {entry.to_version: "champion"}
        case "open":
            return {}
