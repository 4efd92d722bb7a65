"""How a flow ended, by reference: what it returns and the command line prints."""

from dataclasses import dataclass
from typing import Literal

from components.search.records import Trial

Verdict = Literal["Promoted", "Rejected", "Unchanged", "Waiting"]
Sight = Literal["NoChampion", "NotEnough", "Quiet", "Drifted", "Alarm"]
Ending = Literal["NoChampion", "CoolingDown", "NoImages"] | Verdict


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
    """Promoted; Rejected by the gate; Unchanged: the best model is the champion already; Waiting: it passed, but
    promotion is off, it was rolled back, or it knows drawn faces alone."""
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


@dataclass(frozen=True)
class MonitorOutcome:
    """How a run of the monitor ended."""

    sight: Sight
    """NoChampion; NotEnough predictions; Quiet; Drifted; Alarm: as many drifted windows on end as the policy names."""
    version: str
    rows: int
    running: int
    """Drifted windows on end, this one among them."""
    checks: tuple[str, ...]
    """Those that made the window a drifted one."""
    report: str
    """URI of the report's folder; empty where nothing was looked at."""
    message: str


@dataclass(frozen=True)
class NewData:
    """The dataset versions of a retraining."""

    dataset_uri: str
    fingerprint: str
    held_back_uri: str
    added: int
    kept_back: int


@dataclass(frozen=True)
class RetrainOutcome:
    """How a retraining ended."""

    ending: Ending
    """NoChampion; CoolingDown; NoImages to learn from; or what became of the challenger."""
    message: str
    data: NewData | None = None
    pipeline: Outcome | None = None


@dataclass(frozen=True)
class SearchOutcome:
    """How a search ended."""

    name: str
    trials: tuple[Trial, ...]
    best: Trial | None
    """Highest macro-F1 on PublicTest; None where no trial was completed."""
    place: str
    """URI of the folder with the best recipe as a preset, the table and the pictures."""
