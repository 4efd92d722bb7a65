"""Tell what a named source is, by looking at it."""

from dataclasses import dataclass
from pathlib import Path

from components.errors import DataError
from components.ingest.archives import is_archive, unpack
from components.ingest.records import Faces, IngestOptions, Report
from components.ingest.resize import resize_faces

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Source:
    """What a path turned out to be."""

    kind: str
    """csv or folder."""
    path: Path


def check_source(source: str) -> None:
    """Raise DataError for what is no source at a glance: a path to nowhere, a wrong synthetic option."""
    if source.split(":")[0] == SYNTHETIC:
        from components.ingest.synthetic import parse_options

        parse_options(source)
    elif not source.startswith("s3://") and not Path(source).expanduser().exists():
        raise DataError(f"no source {source}: name a CSV, an image folder, an archive of either, or {SYNTHETIC}.")


def read_source(source: str | Path, scratch: Path, options: IngestOptions, report: Report) -> tuple[str, Faces]:
    """Kind of the source (csv, folder, archive, synthetic) and its faces; `scratch` is for pixels and archives."""
    if isinstance(source, str) and source.split(":")[0] == SYNTHETIC:
        return SYNTHETIC, _synthetic(source, options, report)
    check_source(str(source))
    path = Path(source).expanduser()
    archived = is_archive(path)
    if archived:
        report("archive", 0, 1)
        unpack(path, scratch / "unpacked")
        report("archive", 1, 1)
    found = look(scratch / "unpacked" if archived else path, path.name)
    return ("archive" if archived else found.kind), _read(found, scratch, options, report)


def look(path: Path, name: str) -> Source:
    """A table or an image folder; of several tables the one that says most. Raises DataError where there is neither."""
    from components.ingest.table import read_columns

    if path.is_file():
        if path.suffix.casefold() != ".csv":
            raise DataError(f"{name} is no CSV, archive or folder.")
        return Source("csv", path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    told = {file: read_columns(file) for file in files if file.suffix.casefold() == ".csv"}
    tables = [file for file, columns in told.items() if "pixels" in columns]
    if tables:
        return Source("csv", max(tables, key=lambda file: ("usage" in told[file], "emotion" in told[file])))
    if not files:
        raise DataError(f"{name} is empty: it holds neither a CSV nor <split>/<class>/* images.")
    if all(is_archive(file) for file in files):
        raise DataError(f"{name} holds archives only: name one of them ({files[0].name}).")
    return Source("folder", path)


def _read(source: Source, scratch: Path, options: IngestOptions, report: Report) -> Faces:
    if source.kind == "csv":
        from components.ingest.table import read_table

        return read_table(source.path, options.size, scratch, report)
    from components.ingest.images import read_images

    return read_images(source.path, options.size, scratch, report)


def _synthetic(name: str, options: IngestOptions, report: Report) -> Faces:
    from components.ingest.synthetic import generate, parse_options

    images, labels, splits = generate(parse_options(name), report)
    return Faces(resize_faces(images, options.size), labels, splits, [f"drawn {i}" for i in range(len(images))])
