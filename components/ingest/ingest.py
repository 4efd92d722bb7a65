"""Source in, dataset version out: read, give splits, find duplicates, write."""

import hashlib
import json
import shutil
import uuid
from dataclasses import asdict
from pathlib import Path

from components.dataset import DatasetInfo, Origin
from components.errors import DataError
from components.ingest.records import Faces, Ingested, IngestOptions, Report, refuse_bad, tell_nobody
from components.ingest.sources import SYNTHETIC, read_source
from components.store import Store, sweep


def ingest(source: str | Path, work: Path, options: IngestOptions, report: Report = tell_nobody) -> Ingested:
    """Make a dataset version below `work`, in a folder of its own.

    source: `synthetic[:key=value,...]`, a CSV, an image folder, a folder with a CSV, or an archive of any of these.
    Raises DataError that names the first few bad rows or files and counts the rest.
    """
    sweep(work, "ingest-*")  # of runs that were killed; nothing in them is ever read again
    scratch = work / f"ingest-{uuid.uuid4().hex}"
    scratch.mkdir(parents=True)
    try:
        kind, faces = read_source(source, scratch, options, report)
        refuse_bad(faces.bad, str(source), options.skip_bad)
        if not len(faces.images):
            raise DataError(f"{source} holds no labelled image.")
        return _write(faces, _origin(kind, source, faces, options), work, options, report)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def ingest_to_store(
    source: str | Path, store: Store, work: Path, options: IngestOptions, report: Report = tell_nobody
) -> tuple[str, DatasetInfo]:
    """The same, put into a store; returns its URI. A version that is there already is kept as it is.

    What was left out is written down beside the version as well (`skipped/`): the same images may have come from a
    source without faults before.
    """
    ingested = ingest(source, work, options, report)
    try:
        uri = store.put_folder(ingested.folder, f"datasets/{ingested.info.name}")
        if ingested.info.origin.skipped:
            text = json.dumps({"schema_version": 1, "dataset": uri, **asdict(ingested.info.origin)}, indent=1)
            digest = hashlib.sha256(text.encode()).hexdigest()[:8]
            store.put_bytes(f"skipped/{ingested.info.name}-{digest}.json", text.encode())
    finally:
        shutil.rmtree(ingested.folder)
    return uri, ingested.info


def _origin(kind: str, source: str | Path, faces: Faces, options: IngestOptions) -> Origin:
    chosen: dict[str, str | int | float | bool] = {"size": options.size}
    if options.held_out is not None:
        chosen["held_out"] = options.held_out
    return Origin(kind, str(source) if kind == SYNTHETIC else Path(source).absolute().name, chosen, faces.bad)


def _write(faces: Faces, origin: Origin, work: Path, options: IngestOptions, report: Report) -> Ingested:
    from components.ingest.duplicates import pixel_hashes
    from components.ingest.splits import assign_splits
    from components.ingest.version import write_version

    sha256 = pixel_hashes(faces.images)
    return write_version(assign_splits(faces, sha256, options.held_out, origin.name), sha256, origin, work, report)
