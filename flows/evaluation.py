"""`ferline evaluate`: figures of a finished run, on PublicTest or, recorded in the ledger, on PrivateTest."""

import getpass
import shutil
from pathlib import Path

from components.dataset import file_sha256, open_dataset
from components.errors import DataError
from components.evaluation.evaluate import evaluate
from components.evaluation.records import Evaluation
from components.labels import PRIVATE_TEST, PUBLIC_TEST
from components.registry import LedgerEntry, append
from components.registry.records import utc_now
from flows.candidates import complete, model_folder
from flows.context import fetch, registry, store, work_folder


def evaluate_run(run_uri: str, data: str, final: bool, reason: str, out: Path | None) -> tuple[Evaluation, str]:
    """Figures and the place they are kept. With `final` the opening of PrivateTest is recorded before it is scored.

    Raises DataError where `out` is taken.
    """
    complete(Path(run_uri), data)
    model, dataset = model_folder(run_uri), open_dataset(fetch(data))
    split = PRIVATE_TEST if final else PUBLIC_TEST
    sha256 = file_sha256(model.onnx)
    name = Path(run_uri).name
    if out and out.exists():
        raise DataError(f"{out} is there already: name another folder for the evaluation.")
    if final:
        record_opening(name, sha256, f"{reason}; dataset {dataset.info.name}, run {run_uri}")
    folder = out or work_folder("evaluations") / f"{sha256[:16]}-{dataset.info.name}-{split}"
    shutil.rmtree(folder, ignore_errors=True)
    evaluation = evaluate(model.onnx, dataset, split, folder, name, model.temperature)
    place = str(folder) if out else store().put_folder(folder, f"evaluations/{folder.name}")
    return evaluation, place


def record_opening(name: str, sha256: str, reason: str) -> None:
    """PrivateTest wears out a little with every look: the ledger keeps each."""
    append(
        store(),
        LedgerEntry(
            at=utc_now(), who=getpass.getuser(), action="open", model=registry().model_name,
            from_version=None, to_version=name, model_sha256=sha256, reason=reason,
        ),
    )  # fmt: skip
