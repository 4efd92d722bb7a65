"""`ferline predict`: a registered version answers pictures on this machine."""

from pathlib import Path

from pydantic import ValidationError

from components.errors import DataError
from flows.context import registry, settings, work_folder
from flows.parameters import BatchParameters
from serving.batch import Batch, BatchScored, run_here, score_batch
from serving.model import load_model
from serving.offline import Report, Scored, score
from serving.requests import Options


def predict_offline(
    source: Path, out: Path, version: str, face: str, explain: bool, tag: str, report: Report
) -> Scored:
    """Load the version as the service does, examples checked, and score the source into `out`."""
    options = _options(face, tag)
    models = registry()
    found = models.get(version)
    folder = models.download(found.version, work_folder(f"predict/{found.version}"))
    return score(source.expanduser(), out.expanduser(), load_model(folder, found), options, explain, report)


def predict_batch(asked: BatchParameters, report: Report) -> BatchScored:
    """The same into a Parquet file for every 512 pictures, in this process or on the cluster of the settings."""
    options, models = _options(asked.face, asked.tag), registry()
    found = models.get(asked.version)
    folder = models.download(found.version, work_folder(f"predict/{found.version}"))
    batch = Batch(asked.source, asked.out, folder, found, options, asked.explain)
    if asked.backend == "local":
        return score_batch(batch, run_here, report)
    from components.cluster.score import map_parts

    return score_batch(batch, lambda make, parts: map_parts(make, parts, asked.workers, settings().ray_address), report)


def _options(face: str, tag: str) -> Options:
    try:
        return Options(face=face, tag=tag)  # type: ignore[arg-type]  # pydantic looks
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{first['loc'][0]}: {first['msg']}.") from error
