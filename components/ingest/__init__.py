"""Turn any source of labelled faces into an immutable, content-named dataset version."""

from components.ingest.extend import Extended, NewFaces, extend, new_faces
from components.ingest.ingest import ingest, ingest_to_store
from components.ingest.records import Ingested, IngestOptions
from components.ingest.sources import check_source

__all__ = [
    "Extended",
    "IngestOptions",
    "Ingested",
    "NewFaces",
    "check_source",
    "extend",
    "ingest",
    "ingest_to_store",
    "new_faces",
]
