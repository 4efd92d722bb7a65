"""Whether a dataset version may be trained on, and what is odd about it."""

from components.validation.policy import Tolerance, ValidationPolicy, load_policy
from components.validation.records import Finding, ValidationReport
from components.validation.validate import require_passed, validate

__all__ = [
    "Finding",
    "Tolerance",
    "ValidationPolicy",
    "ValidationReport",
    "load_policy",
    "require_passed",
    "validate",
]
