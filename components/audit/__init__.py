"""Which labels are likely wrong: out-of-fold answers of a model, judged by confident learning."""

from components.audit.audit import PROBABILITIES, REPORT, audit
from components.audit.records import AuditReport, Pair

__all__ = ["PROBABILITIES", "REPORT", "AuditReport", "Pair", "audit"]
