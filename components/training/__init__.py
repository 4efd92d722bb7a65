"""Train one recipe on one dataset version: `python -m components.training --preset P --data DIR --out DIR`.

Needs torch, transformers and scikit-learn; no orchestrator, no tracking server, no pydantic.
"""

from pathlib import Path

from components.errors import ModelNotFound
from components.training.records import Recipe, RunSummary

__all__ = ["Recipe", "RunSummary", "read_summary"]


def read_summary(run: Path) -> RunSummary:
    """What a finished run folder says of itself; raises ModelNotFound."""
    try:
        return RunSummary.from_json((run / "summary.json").read_text())
    except (OSError, ValueError, TypeError) as error:
        raise ModelNotFound(f"{run} is no finished run: {error}; `python -m components.training` makes one.") from error
