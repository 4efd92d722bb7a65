"""Train one recipe on one dataset version: `python -m components.training --preset P --data DIR --out DIR`.

Needs torch, transformers and scikit-learn; no orchestrator, no tracking server, no pydantic.
"""

import json
from contextlib import suppress
from pathlib import Path

from components.errors import ModelNotFound
from components.training.records import Recipe, RunSummary

__all__ = ["METRICS", "Recipe", "RunSummary", "read_epochs", "read_summary"]

METRICS = "metrics.jsonl"


def read_summary(run: Path) -> RunSummary:
    """What a finished run folder says of itself; raises ModelNotFound."""
    try:
        return RunSummary.from_json((run / "summary.json").read_text())
    except (OSError, ValueError, TypeError) as error:
        raise ModelNotFound(f"{run} is no finished run: {error}; `python -m components.training` makes one.") from error


def read_epochs(run: Path, file: str = METRICS) -> list[dict[str, float]]:
    """What each epoch of a run came to, in order; none where it has not got so far. file: or of its pretraining.

    A line that a full disk cut short ends the list.
    """
    epochs: list[dict[str, float]] = []
    with suppress(FileNotFoundError, ValueError):
        epochs.extend(json.loads(line) for line in (run / file).read_text().splitlines())
    return epochs
