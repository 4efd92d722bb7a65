"""Turn any source of labelled faces into an immutable, content-named dataset version."""

from components.ingest.extend import Extended, NewFaces, extend, new_faces
from components.ingest.ingest import ingest, ingest_to_store
from components.ingest.records import Ingested, IngestOptions

__all__ = [
    "Extended",
    "IngestOptions",
    "Ingested",
    "NewFaces",
    "extend",
    "ingest",
    "ingest_to_store",
    "new_faces",
]
