"""Register models, keep their ledger, promote and roll back. The one door to MLflow is `mlflow.py`."""

from components.registry.card import build_card
from components.registry.fresh import check_model
from components.registry.ledger import append, history
from components.registry.mlflow import Registry, TrackedRun, upgrade_database, without_password
from components.registry.package import build_package, build_reference
from components.registry.promote import promote, reconcile, register, reject, rollback
from components.registry.records import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    CheckResult,
    LedgerEntry,
    ModelPackage,
    ModelVersion,
)
from components.registry.release import read_decision, read_release, write_release

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREVIOUS",
    "CheckResult",
    "LedgerEntry",
    "ModelPackage",
    "ModelVersion",
    "Registry",
    "TrackedRun",
    "append",
    "build_card",
    "build_package",
    "build_reference",
    "check_model",
    "history",
    "promote",
    "read_decision",
    "read_release",
    "reconcile",
    "register",
    "reject",
    "rollback",
    "upgrade_database",
    "without_password",
    "write_release",
]
