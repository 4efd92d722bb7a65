"""`ferline predict`: a registered version answers pictures on this machine."""

from pathlib import Path

from pydantic import ValidationError

from components.errors import DataError
from flows.context import registry, work_folder
from serving.model import load_model
from serving.offline import Report, Scored, score
from serving.requests import Options


def predict_offline(
    source: Path, out: Path, version: str, face: str, explain: bool, tag: str, report: Report
) -> Scored:
    """Load the version as the service does, examples checked, and score the source into `out`."""
    try:
        options = Options(face=face, tag=tag)  # type: ignore[arg-type]  # pydantic looks
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{first['loc'][0]}: {first['msg']}.") from error
    models = registry()
    found = models.get(version)
    folder = models.download(found.version, work_folder(f"predict/{found.version}"))
    return score(source.expanduser(), out.expanduser(), load_model(folder, found), options, explain, report)
