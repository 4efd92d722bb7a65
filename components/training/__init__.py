"""Train one recipe on one dataset version: `python -m components.training --preset P --data DIR --out DIR`.

Needs torch, transformers and scikit-learn; no orchestrator, no tracking server, no pydantic.
"""

from components.training.records import Recipe, RunSummary

__all__ = ["Recipe", "RunSummary"]
