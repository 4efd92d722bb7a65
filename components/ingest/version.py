"""Faces in any order to a dataset version on disk."""

import uuid
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.dataset import Origin, write_dataset
from components.ingest.manifest import build_manifest, canonical_order
from components.ingest.records import Faces, Ingested, Report


def write_version(faces: Faces, sha256: npt.NDArray[np.str_], origin: Origin, work: Path, report: Report) -> Ingested:
    """Write faces whose splits are given into a folder of its own below `work`. sha256: of their pixels, [N]."""
    order = canonical_order(faces, sha256)
    images = faces.images[order]
    manifest = build_manifest(faces, images, sha256, order, report)
    folder = work / f"ingest-{uuid.uuid4().hex}-version"
    return Ingested(folder, write_dataset(folder, images, manifest, origin))
