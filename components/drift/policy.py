"""What counts as drift: section `drift` of a file a person edits, recorded with each report."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from components.policy import load_section

Severity = Literal["alarm", "warning", "off"]
"""alarm: makes a window a drifted one. warning: is shown. off: is not looked at."""

STRICT = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Check(BaseModel):
    """One statistic: from where on it is drift, and what that means."""

    model_config = STRICT

    effect: Annotated[float, Field(ge=0)]
    """What the statistic must exceed however many rows there are: less is of no interest."""
    severity: Severity = "alarm"
    """alarm, warning or off."""


class Checks(BaseModel):
    """A window against the model's reference, column by column."""

    model_config = STRICT

    brightness: Check = Check(effect=0.10)
    """Covariate. Wasserstein distance in standard deviations of the reference."""
    contrast: Check = Check(effect=0.10)
    """Covariate, the same."""
    sharpness: Check = Check(effect=0.10)
    """Covariate, the same."""
    embedding: Check = Check(effect=0.53)
    """Covariate. How well a classifier tells window and reference apart by what the model sees: area under its ROC
    curve, 0.5 for not at all, 1 for always."""
    answers: Check = Check(effect=0.06)
    """Prediction. Jensen-Shannon distance of the class shares, 0 to 0.83."""
    confidence: Check = Check(effect=0.10)
    """Prediction. Wasserstein distance in standard deviations of the reference."""
    uncertain: Check = Check(effect=0.06)
    """Prediction. Jensen-Shannon distance of the shares of uncertain and certain answers."""
    labels: Check = Check(effect=0.10, severity="warning")
    """Label. Jensen-Shannon distance of the class shares among labels. Who corrects an answer chooses what gets a
    label: a warning unless all of a part of the traffic is labelled."""
    accuracy: Check = Check(effect=0.02)
    """Quality. What is lost against the reference even at the lower end of the loss's 95 % interval."""
    macro_f1: Check = Check(effect=0.02)
    """Quality, the same."""
    calibration: Check = Check(effect=0.05, severity="warning")
    """Quality. How far mean confidence lies outside the 95 % interval of the accuracy."""


class WindowPolicy(BaseModel):
    """Which predictions are looked at together."""

    model_config = STRICT

    rows: Annotated[int, Field(ge=50)] = 500
    """Fewest predictions; with fewer a run ends with «not enough yet»."""
    labelled: Annotated[int, Field(ge=20)] = 50
    """Fewest labels for the checks of labels and quality."""
    hours: Annotated[float, Field(gt=0)] = 168.0
    """How far back a window reaches at most; it begins where the last one ended."""
    running: Annotated[int, Field(ge=1)] = 2
    """Drifted windows on end that raise the alarm."""
    sample: Annotated[int, Field(ge=500)] = 10_000
    """Most rows, drawn evenly at random from the window, that distances and the classifier are computed on. Labels are
    all used."""
    tags: Annotated[int, Field(ge=0)] = 8
    """Most client-given tags that are looked at apart: the commonest with enough rows."""


class RetrainPolicy(BaseModel):
    """When an alarm or a schedule may start a retraining, and with what."""

    model_config = STRICT

    cool_down_hours: Annotated[float, Field(ge=0)] = 24.0
    """Least time between the starts of two retrainings."""
    daily_cap: Annotated[int, Field(ge=1)] = 1
    """Most retrainings within any 24 hours."""
    images: Annotated[int, Field(ge=1)] = 100
    """Fewest new labelled images; with fewer there is nothing to learn from."""
    held_back: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of the new images that is not trained on: there the challenger must not lose against the champion."""


class DriftPolicy(BaseModel):
    """Section `drift`."""

    model_config = STRICT

    false_alarm: Annotated[float, Field(gt=0, lt=0.5)] = 0.02
    """How often a check may fire on a window without drift: its threshold is never below what so few resamples of the
    reference, of the window's size, exceed."""
    window: WindowPolicy = WindowPolicy()
    checks: Checks = Checks()
    retrain: RetrainPolicy = RetrainPolicy()


def load_policy(path: Path | None = None) -> DriftPolicy:
    """Section `drift` of a YAML file, the defaults without one; raises RecipeError naming file, key and fault."""
    return load_section(path, "drift", DriftPolicy)
