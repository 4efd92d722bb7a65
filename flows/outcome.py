"""How a run of the pipeline ended, by reference: what the flow returns and the command line prints."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["Promoted", "Rejected", "Unchanged", "Waiting"]


@dataclass(frozen=True)
class CandidateOutcome:
    """One trained model of the run."""

    name: str
    run_uri: str
    evaluation_uri: str


@dataclass(frozen=True)
class Outcome:
    """One run of train-pipeline."""

    verdict: Verdict
    """Promoted; Rejected by the gate; Unchanged: the best model is the champion already; Waiting: promotion is off."""
    dataset_uri: str
    validation_uri: str
    candidates: tuple[CandidateOutcome, ...]
    """Best macro-F1 first."""
    decision_uri: str
    """Empty where the gate was not asked."""
    champion: str
    """Version that is champion now; empty for none."""
    report: str
    """URI of the report's folder."""
