"""Compare what the service sees with what its model was judged on. The one door to Evidently is `evidently.py`."""

from components.drift.detect import detect, figures, running
from components.drift.policy import DriftPolicy, load_policy
from components.drift.records import DriftReport, Finding, Reference
from components.drift.reference import read_reference

__all__ = [
    "DriftPolicy",
    "DriftReport",
    "Finding",
    "Reference",
    "detect",
    "figures",
    "load_policy",
    "read_reference",
    "running",
]
