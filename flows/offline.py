"""`ferline predict`: a registered version answers pictures on this machine."""

from pathlib import Path

from pydantic import ValidationError

from components.errors import DataError
from components.registry.records import ModelVersion
from flows.context import artifact, registry, settings
from flows.parameters import BatchParameters
from serving.batch import Batch, BatchScored, run_here, score_batch
from serving.model import load_model
from serving.offline import Report, Scored, require_possible, score
from serving.requests import Options


def predict_offline(
    source: Path, out: Path, version: str, face: str, explain: bool, tag: str, report: Report
) -> Scored:
    """Load the version as the service does, examples checked, and score the source into `out`."""
    options, (folder, found) = _options(face, tag), _model(version)
    return score(source.expanduser(), out.expanduser(), load_model(folder, found), options, explain, report)


def predict_batch(asked: BatchParameters, report: Report) -> BatchScored:
    """The same into a Parquet file for every 512 pictures, in this process or on the cluster of the settings."""
    options, (folder, found) = _options(asked.face, asked.tag), _model(asked.version)
    batch = Batch(_from_root(asked.source), _from_root(asked.out), folder, found, options, asked.explain)
    require_possible(load_model(folder, found), options, asked.explain)
    if asked.backend == "local":
        return score_batch(batch, run_here, report)
    from components.cluster.score import map_parts

    return score_batch(batch, lambda make, parts: map_parts(make, parts, asked.workers, settings().ray_address), report)


def _model(version: str) -> tuple[Path, ModelVersion]:
    found = registry().get(version)
    return artifact(found), found


def _from_root(place: str) -> str:
    """Workers start in folders of their own."""
    return place if place.startswith("s3://") else str(Path(place).expanduser().absolute())


def _options(face: str, tag: str) -> Options:
    try:
        return Options(face=face, tag=tag)  # type: ignore[arg-type]  # pydantic looks
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{first['loc'][0]}: {first['msg']}.") from error
