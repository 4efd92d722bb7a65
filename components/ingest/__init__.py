"""Turn any source of labelled faces into an immutable, content-named dataset version."""

from components.ingest.ingest import ingest, ingest_to_store
from components.ingest.records import Ingested, IngestOptions

__all__ = ["IngestOptions", "Ingested", "ingest", "ingest_to_store"]
