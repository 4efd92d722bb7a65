"""`ferline evaluate`: figures of a finished run, on PublicTest or, recorded in the ledger, on PrivateTest."""

import getpass
import shutil
from collections.abc import Callable
from pathlib import Path

from components.dataset import Dataset, file_sha256, open_dataset
from components.errors import DataError, GateError
from components.evaluation.digest import images_digest
from components.evaluation.evaluate import evaluate
from components.evaluation.records import Evaluation
from components.labels import PRIVATE_TEST, PUBLIC_TEST
from components.registry import LedgerEntry, append, history
from components.registry.records import utc_now
from flows.candidates import complete, model_folder
from flows.context import fetch, registry, store, work_folder
from flows.digests import evaluation_code


def evaluate_run(
    run_uri: str, data: str, final: bool, reason: str, again: bool, out: Path | None, say: Callable[[str], None]
) -> tuple[Evaluation, str]:
    """Figures and the place they are kept. With `final` the opening of PrivateTest is recorded before it is scored.

    say: told of each earlier opening of the same PrivateTest. Raises DataError where `out` is taken, GateError where
    this model has been opened on it and `again` does not ask for one more.
    """
    complete(Path(run_uri), data)
    model, dataset = model_folder(run_uri), open_dataset(fetch(data))
    split = PRIVATE_TEST if final else PUBLIC_TEST
    sha256 = file_sha256(model.onnx)
    name = Path(run_uri).name
    if out and out.exists():
        raise DataError(f"{out} is there already: name another folder for the evaluation.")
    if final:
        images = images_digest(dataset.manifest.iloc[dataset.rows(PRIVATE_TEST)])[:16]
        look_back(sha256, dataset.info.name, images, again, say)
        record_opening(name, sha256, f"{reason}{_opened(dataset.info.name)}{run_uri}{_of(images)}")
    kept = f"{sha256[:16]}-{dataset.info.name}-{split}" if final and not again else _anew(sha256, dataset, split)
    folder = out or work_folder("evaluations") / kept
    shutil.rmtree(folder, ignore_errors=True)
    evaluation = evaluate(model.onnx, dataset, split, folder, name, model.temperature)
    if out:
        return evaluation, str(out)
    place = store().put_folder(folder, f"evaluations/{folder.name}")
    shutil.rmtree(folder)
    return evaluation, place


def _anew(sha256: str, dataset: Dataset, split: str) -> str:
    """Changed code may give other figures: they do not stand under the name of the old ones."""
    return f"{sha256[:16]}-{dataset.info.name}-{split}-{evaluation_code()}"


def look_back(sha256: str, dataset: str, images: str, again: bool, say: Callable[[str], None]) -> None:
    """What the ledger knows of openings of a dataset's PrivateTest, or of the same images in another's: each is said.

    sha256: of the model that is to be opened; dataset: name of the version; images: digest of its PrivateTest. Raises
    GateError where one of them was this model's, unless `again`.
    """
    entries = history(store(), registry().model_name)
    marks = (_opened(dataset), _of(images))
    earlier = [e for e in entries if e.action == "open" and any(mark in e.reason for mark in marks)]
    own = [entry for entry in earlier if entry.model_sha256 == sha256]
    if own and not again:
        raise GateError(
            f"PrivateTest of dataset {dataset} was opened for this very model already: {_told(own[-1])}. Take the "
            f"figures of then, in the store at evaluations/{sha256[:16]}-{dataset}-{PRIVATE_TEST} unless --out named "
            "a folder; if they are lost, --again opens it once more, and the ledger says so."
        )
    for entry in earlier:
        say(f"PrivateTest of dataset {dataset} was opened before: {_told(entry)}")


def _opened(dataset: str) -> str:
    """How an opening's reason goes on: with the dataset, and then the run."""
    return f"; dataset {dataset}, run "


def _of(images: str) -> str:
    """How it ends: a grown dataset version has another name and the same test images."""
    return f", test images {images}"


def _told(entry: LedgerEntry) -> str:
    return f"{entry.to_version} ({entry.model_sha256[:12]}) at {entry.at} by {entry.who}, {entry.reason}"


def record_opening(name: str, sha256: str, reason: str) -> None:
    """PrivateTest wears out a little with every look: the ledger keeps each."""
    append(
        store(),
        LedgerEntry(
            at=utc_now(), who=getpass.getuser(), action="open", model=registry().model_name,
            from_version=None, to_version=name, model_sha256=sha256, reason=reason,
        ),
    )  # fmt: skip
