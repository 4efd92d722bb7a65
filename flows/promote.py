"""Promotion by hand: `prefect deployment run promote/by-hand`, and `ferline models promote`."""

from prefect import flow, get_run_logger

from components.gate import Decision
from components.registry import promote as promote_version
from components.registry import reconcile
from components.registry.standing import DECISION
from flows.context import promotion_lock, registry, store


@flow(name="promote")
def promote(version: str = "challenger", force: bool = False, reason: str = "", who: str = "prefect") -> str:
    """Make a version champion by its own decision, or by force with a reason; gives the champion's version.

    Args:
        version: Number or alias of a registered version.
        force: Promote without a passing decision; recorded in the ledger.
        reason: Why; needed with force.
        who: Name that the ledger keeps.
    """
    entry_version = promote_by_decision(version, force, reason, who)
    get_run_logger().info("champion is version %s", entry_version)
    return entry_version


def promote_by_decision(version: str, force: bool, reason: str, who: str) -> str:
    """The same without Prefect. Raises GateError, RegistryError, ModelNotFound."""
    models, artifacts = registry(), store()
    reconcile(models, artifacts, lock_folder=promotion_lock())
    target = models.get(version)
    uri = target.tags.get(DECISION)
    decision = Decision.from_json(artifacts.read_bytes(uri).decode()) if uri and not force else None
    entry = promote_version(
        models, artifacts, version=target.version, decision=decision, decision_uri=uri, who=who,
        lock_folder=promotion_lock(), force=force, reason=reason,
    )  # fmt: skip
    return entry.to_version
