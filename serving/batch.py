"""Score folders or S3 prefixes of any size: parts of pictures in, a Parquet file a part out.

A part that is there is done: a job that was stopped, on one machine or on many, goes on with what is missing.
"""

import hashlib
import io
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.errors import BadPicture, ClusterError, DataError, StoreError, StoreNotFound
from components.registry.records import ModelVersion
from components.settings import load_settings, settings_store
from components.store import PATIENT, Store
from serving.model import load_model
from serving.offline import PART, Gray, Picture, answer_part, require_possible
from serving.pictures import read_picture
from serving.requests import Options

RUN, DONE = "run.json", "done.json"
Part = dict[str, Any]


@dataclass(frozen=True)
class BatchScored:
    """What became of the pictures: done.json."""

    out: str
    pictures: int
    answered: int
    errors: int
    resumed: int
    """Pictures that an earlier run had done."""
    version: str


@dataclass(frozen=True)
class Batch:
    """One job, as its workers need to know it."""

    source: str
    """Folder, named from the root, or s3://bucket/prefix on the server of the settings."""
    out: str
    """The same, for the parts."""
    folder: Path
    """The registered artifact, where all workers see it."""
    version: ModelVersion
    options: Options
    explain: bool

    def __post_init__(self) -> None:
        if f"{self.out.rstrip('/')}/".startswith(f"{self.source.rstrip('/')}/"):
            raise DataError(f"{self.out} lies in {self.source}: its parts would be taken for pictures.")

    def pictures(self) -> dict[str, str]:
        """Name of every picture, with what changes where its content does. Raises DataError where there is none."""
        if not self.source.startswith("s3://") and not Path(self.source).is_dir():
            raise DataError(
                f"{self.source} is no folder: parts are made of a folder or of s3://bucket/prefix; an archive or a CSV "
                "is scored into one file, without --parts."
            )
        found = _place(self.source).stamps("")
        found = {name: stamp for name, stamp in found.items() if not name.rpartition("/")[2].startswith(".")}
        if not found:
            raise DataError(f"{self.source} holds no picture.")
        return found

    def begin(self, pictures: Mapping[str, str], parts: list[Part]) -> list[Part]:
        """The parts that are missing in `out`; raises DataError where it was begun with other pictures or options."""
        target = _place(self.out)
        lines = [self.source, str(PART), *(f"{name} {stamp}" for name, stamp in pictures.items())]
        facts = {
            "pictures": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
            "model": self.version.model_sha256,
            "explain": self.explain,
            **self.options.model_dump(),
        }
        there = set(target.list(""))
        if RUN in there and json.loads(target.read_bytes(RUN)) != facts:
            raise DataError(
                f"{self.out} was begun with other pictures, another model or other options: name another --out."
            )
        if RUN not in there and there:
            raise DataError(f"{self.out} holds something else: name another --out.")
        target.put_bytes(RUN, json.dumps(facts).encode())
        return [part for part in parts if file_of(part["number"]) not in there]

    def worker(self) -> Callable[[Part], Part]:
        """What does a part; loads and checks the model once. Raises ClusterError where the source is not seen."""
        self.require_seen()
        threads = int(os.environ.get("OMP_NUM_THREADS", "0")) or None  # as many as Ray gave the worker
        model = load_model(self.folder, self.version, threads)
        require_possible(model, self.options, self.explain)
        source, target, pool = _place(self.source), _place(self.out), ThreadPoolExecutor(threads)

        def work(part: Part) -> Part:
            pictures: list[tuple[str, Picture]] = [(name, partial(self.read, source, name)) for name in part["names"]]
            table = answer_part(pictures, model, self.options, self.explain, pool)
            buffer = io.BytesIO()
            pq.write_table(table, buffer, compression="zstd")
            target.put_bytes(file_of(part["number"]), buffer.getvalue())
            return {"pictures": table.num_rows, "errors": table.num_rows - table["error"].null_count}

        return work

    def require_seen(self) -> None:
        """Raises ClusterError where the source is no folder of this machine, or an empty one, as a mount point is."""
        if self.source.startswith("s3://"):
            return
        folder = Path(self.source)
        if not folder.is_dir() or not any(folder.iterdir()):
            raise ClusterError(
                f"{self.source} is no folder with pictures on {platform.node()}: every machine of the cluster must see "
                "it under this name. Mount it there, or name s3://bucket/prefix; what is done is kept."
            )

    def read(self, source: Store, name: str) -> Gray:
        """A picture. Raises BadPicture where it is gone or broken; what is wrong with its place is no fault of it."""
        try:
            data = source.read_bytes(name)
        except StoreNotFound as error:
            self.require_seen()  # the whole folder may be gone
            raise BadPicture(f"the file is gone: {error}") from error
        except OSError as error:
            raise StoreError(f"{name} in {self.source} cannot be read on {platform.node()}: {error}.") from error
        return read_picture(data)

    def finish(self, parts: list[Part], pictures: int, resumed: int) -> BatchScored:
        """Count what is there and write done.json; raises DataError where a part is not there."""
        target = _place(self.out)
        files = [file_of(part["number"]) for part in parts]
        if lost := set(files) - set(target.list("part-")):
            raise DataError(
                f"{len(lost)} of {len(files)} parts are not in {self.out}, {min(lost)} first: every worker must see "
                "that place as this machine does. Run it again; what is there is kept."
            )
        errors = sum(_errors(target, name) for name in files)
        done = BatchScored(self.out, pictures, pictures - errors, errors, resumed, self.version.version)
        target.put_bytes(DONE, json.dumps(vars(done)).encode())
        return done


def score_batch(
    batch: Batch,
    run: Callable[[Callable[[], Callable[[Part], Part]], list[Part]], Iterable[Part]],
    report: Callable[[str, int, int], None],
) -> BatchScored:
    """Do what is missing. run: goes over parts with what a worker makes, here or on a cluster."""
    found = batch.pictures()
    names, pictures = list(found), len(found)
    parts = [{"number": start // PART, "names": names[start : start + PART]} for start in range(0, pictures, PART)]
    missing = batch.begin(found, parts)
    done = resumed = pictures - sum(len(part["names"]) for part in missing)
    for result in run(batch.worker, missing) if missing else ():
        done += result["pictures"]
        report("score", done, pictures)
    return batch.finish(parts, pictures, resumed)


def run_here(make: Callable[[], Callable[[Part], Part]], parts: list[Part]) -> Iterator[Part]:
    """One part after another in this process."""
    work = make()
    return (work(part) for part in parts)


def file_of(number: int) -> str:
    return f"part-{number:06d}.parquet"


def _place(uri: str) -> Store:
    return settings_store(load_settings(), uri, PATIENT)


def _errors(target: Store, name: str) -> int:
    column = pq.read_table(io.BytesIO(target.read_bytes(name)), columns=["error"])["error"]
    return len(column) - int(column.null_count)
