"""Run a flow in this process: on the server that PREFECT_API_URL names, or on a temporary one below the home."""

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import cast

from flows.outcome import MonitorOutcome, Outcome, RetrainOutcome, SearchOutcome
from flows.parameters import (
    DataParameters,
    PromotionParameters,
    RetrainParameters,
    SearchParameters,
    TrainingParameters,
    WindowParameters,
)


def embedded_environment(environment: MutableMapping[str, str]) -> None:
    """Keep Prefect's state below FERLINE_HOME and its telemetry off; what a person has set stays."""
    from flows.context import settings

    root = settings().root
    environment.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    environment.setdefault("PREFECT_RESULTS_LOCAL_STORAGE_PATH", str(root / "store" / "results"))
    if "PREFECT_API_URL" not in environment:
        environment.setdefault("PREFECT_HOME", str(root / "prefect"))
        Path(environment["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)  # its SQLite makes no folder
        environment.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "")
        environment.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "300")


def run_pipeline(data: DataParameters, training: TrainingParameters, promotion: PromotionParameters) -> Outcome:
    """train-pipeline, start to end; raises what a stage raised."""
    embedded_environment(os.environ)  # before the first import of prefect, which reads it then
    from flows.train import train_pipeline

    state = train_pipeline(data, training, promotion, return_state=True)
    outcome = state.result()
    assert isinstance(outcome, Outcome)
    return outcome


def run_search(data: DataParameters, search: SearchParameters) -> SearchOutcome:
    """hyperparameter-search; raises what a stage raised."""
    embedded_environment(os.environ)
    from flows.search import hyperparameter_search

    return cast(SearchOutcome, hyperparameter_search(data, search, return_state=True).result())


def run_monitor(window: WindowParameters) -> MonitorOutcome:
    """drift-monitor; raises what a stage raised."""
    embedded_environment(os.environ)
    from flows.monitor import drift_monitor

    return cast(MonitorOutcome, drift_monitor(window, return_state=True).result())


def run_retrain(trigger: RetrainParameters) -> RetrainOutcome:
    """retrain; raises what a stage raised."""
    embedded_environment(os.environ)
    from flows.retrain import retrain

    return cast(RetrainOutcome, retrain(trigger, return_state=True).result())
