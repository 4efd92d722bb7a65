"""Move versions through their life: register, promote, reject, roll back. Each step is one entry in the ledger.

Every step runs under a lock of this machine, begins with a repair of whatever an earlier, killed one left half done,
and takes effect with its entry; two machines are kept apart by the entry's number (components/registry/ledger.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock, Timeout

from components.errors import ChampionChanged, GateError, ModelNotFound, RegistryError
from components.gate.records import Decision
from components.registry.fresh import check_model
from components.registry.ledger import History, append, commit, history
from components.registry.mlflow import Registry
from components.registry.records import CHAMPION, PREVIOUS, Action, LedgerEntry, ModelPackage, ModelVersion, utc_now
from components.registry.standing import settle
from components.store import Store

LOCK_SECONDS = 600
"""How long a step waits for another; the check of a large model takes seconds."""


@contextmanager
def _locked(registry: Registry, store: Store, lock_folder: Path) -> Iterator[History]:
    """Alone on this machine, and repaired: the ledger so far."""
    lock_folder.mkdir(parents=True, exist_ok=True)
    path = lock_folder / f"{registry.model_name}.lock"
    try:
        with FileLock(path, timeout=LOCK_SECONDS):
            yield _settled(registry, store, history(store, registry.model_name))
    except Timeout as error:
        raise RegistryError(f"{path} is held for more than {LOCK_SECONDS} s; look for a hanging promotion.") from error


def reconcile(registry: Registry, store: Store, *, lock_folder: Path) -> ModelVersion | None:
    """Finish what a killed step left half done; returns the champion. Call it before a gate asks who that is."""
    with _locked(registry, store, lock_folder):
        return registry.find(CHAMPION)


def register(
    registry: Registry,
    store: Store,
    package: ModelPackage,
    *,
    who: str,
    lock_folder: Path,
    run_id: str | None = None,
    decision_uri: str | None = None,
) -> ModelVersion:
    """Register a package as challenger; a model.onnx that is registered already keeps its version and standing.

    decision_uri: what the gate said of it, by which it may be promoted later.
    """
    with _locked(registry, store, lock_folder) as seen:
        made = registry.register(package, run_id)
        if not any(e.action == "register" and e.model_sha256 == made.model_sha256 for e in seen):
            entry = _entry("register", registry, made, None, who, f"preset {package.preset}", decision_uri)
            _carry_out(registry, store, append(store, entry))
        return registry.get(made.version)


def promote(
    registry: Registry,
    store: Store,
    *,
    version: str,
    decision: Decision | None,
    decision_uri: str | None,
    who: str,
    lock_folder: Path,
    force: bool = False,
    reason: str = "",
) -> LedgerEntry:
    """Make a version champion on the strength of a decision; returns its ledger entry, the old one if it is champion.

    With `force` and a reason the decision is not asked; the check in a fresh process is made all the same.
    Raises GateError (no passing decision, another model's, another champion's, or the version was rolled back),
    RegistryError (the model fails).
    """
    with _locked(registry, store, lock_folder) as seen:
        target, champion = registry.get(version), registry.find(CHAMPION)
        done = next((e for e in reversed(seen) if e.moves_champion), None)
        if champion and done and champion.version == target.version == done.to_version:
            return done
        if force and not reason.strip():
            raise GateError(f"promoting version {version} by force needs a reason, for the ledger: --reason '...'.")
        if not force:
            _judge(decision, target, champion)
        _check(registry, target)
        entry = _entry(
            "promote", registry, target, champion, who, reason or "passed the gate", decision_uri, forced=force
        )
        return _carry_out(registry, store, commit(store, entry, seen))


def reject(
    registry: Registry,
    store: Store,
    *,
    version: str,
    decision: Decision,
    decision_uri: str,
    who: str,
    lock_folder: Path,
) -> LedgerEntry:
    """Mark a challenger as rejected, by its decision, and keep it. Raises GateError for the champion."""
    with _locked(registry, store, lock_folder) as seen:
        target = registry.get(version)
        if CHAMPION in target.aliases:
            raise GateError(f"version {version} is champion; roll back to replace it.")
        known = next((e for e in seen if e.action == "reject" and e.decision_uri == decision_uri), None)
        if known:
            return known
        entry = _entry("reject", registry, target, None, who, "failed: " + _failed(decision), decision_uri)
        return _carry_out(registry, store, append(store, entry))


def rollback(
    registry: Registry, store: Store, *, who: str, lock_folder: Path, to: str | None = None, reason: str = ""
) -> LedgerEntry:
    """Give the champion's place back to `previous`, or to a named version that was champion once.

    Raises ModelNotFound (nothing to go back to), GateError (never was champion, is champion, was rolled back itself),
    RegistryError (it does not load or answers otherwise).
    """
    with _locked(registry, store, lock_folder) as seen:
        champion, target = registry.get(CHAMPION), registry.get(to) if to else registry.find(PREVIOUS)
        if target is None:
            raise ModelNotFound("there is no `previous` to go back to: no version was champion before this one.")
        _may_return(target, champion, seen, named=to is not None)
        _check(registry, target)
        entry = _entry("rollback", registry, target, champion, who, reason)
        return _carry_out(registry, store, commit(store, entry, seen))


def _judge(decision: Decision | None, target: ModelVersion, champion: ModelVersion | None) -> None:
    """Whether a decision lets `target` replace `champion`; raises GateError."""
    which = f"version {target.version} of {target.name}"
    if decision is None:
        raise GateError(f"{which} has no decision: run the gate, or use --force with --reason.")
    if decision.verdict != "promote":
        raise GateError(f"the gate rejected {which}: {_failed(decision)}. --force with --reason overrides it.")
    if decision.challenger.model_sha256 != target.model_sha256:
        raise GateError(
            f"the decision is about model {decision.challenger.model_sha256[:16]}, "
            f"but {which} is {target.model_sha256[:16]}. Name the version it is about, or run the gate on this one."
        )
    judged = decision.champion.model_sha256 if decision.champion else None
    current = champion.model_sha256 if champion else None
    if judged != current:
        now = f"version {champion.version} is" if champion else "there is none"
        before = decision.champion.version or decision.champion.name if decision.champion else "none"
        raise ChampionChanged(
            f"the champion has changed since {which} was judged: it was {before}, now {now}. Run the gate again."
        )
    if target.status == "rolled-back":  # by somebody who knows more than the gate
        raise GateError(f"{which} was rolled back: --force with --reason makes it champion all the same.")


def _check(registry: Registry, target: ModelVersion) -> None:
    """Raises RegistryError unless the registered model loads and answers its examples in a fresh process."""
    with TemporaryDirectory() as scratch:
        check_model(registry.download(target.version, Path(scratch)), target.model_sha256)


def _may_return(target: ModelVersion, champion: ModelVersion, seen: History, *, named: bool) -> None:
    if target.version == champion.version:
        raise GateError(f"version {target.version} is champion already.")
    if not any(e.moves_champion and e.model_sha256 == target.model_sha256 for e in seen):
        raise GateError(f"version {target.version} never was champion: promote it, with a decision or by force.")
    last = next((e for e in reversed(seen) if e.moves_champion), None)
    if not named and last and last.action == "rollback" and last.from_version == target.version:
        raise GateError(
            f"`previous` is version {target.version}, which {last.who} rolled back at {last.at}. "
            "Name the version to go to: --to VERSION."
        )


def _failed(decision: Decision) -> str:
    return ", ".join(f"{rule.rule} {rule.figure:.3g}" for rule in decision.rules if not rule.passed)


def _entry(
    action: Action,
    registry: Registry,
    target: ModelVersion,
    champion: ModelVersion | None,
    who: str,
    reason: str,
    decision_uri: str | None = None,
    *,
    forced: bool = False,
) -> LedgerEntry:
    return LedgerEntry(
        at=utc_now(),
        who=who,
        action=action,
        model=registry.model_name,
        from_version=champion.version if champion else None,
        to_version=target.version,
        model_sha256=target.model_sha256,
        reason=reason,
        decision_uri=decision_uri,
        forced=forced,
    )


def _carry_out(registry: Registry, store: Store, entries: History) -> LedgerEntry:
    """Aliases and tags after a new entry."""
    _settled(registry, store, entries)
    return entries[-1]


def _settled(registry: Registry, store: Store, entries: History) -> History:
    """Aliases and tags by the ledger; the history that they follow.

    Another machine may add to the ledger and settle by that before these older entries have been settled by, which
    then put its aliases back. So the ledger is read again afterwards, until nothing has come.
    """
    while True:
        settle(registry, entries)
        now = history(store, registry.model_name)
        if len(now) <= len(entries):
            return entries
        entries = now
