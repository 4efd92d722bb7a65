"""Faces in any order to a dataset version on disk."""

import shutil
import uuid
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.dataset import Origin, read_images, write_images, write_manifest
from components.ingest.manifest import build_manifest, canonical_order
from components.ingest.records import Faces, Ingested, Report


def write_version(faces: Faces, sha256: npt.NDArray[np.str_], origin: Origin, work: Path, report: Report) -> Ingested:
    """Write faces whose splits are given into a folder of its own below `work`. sha256: of their pixels, [N].

    The images go first, in canonical order; the manifest is made from the file, so neither has to fit into memory.
    """
    order = canonical_order(faces, sha256)
    folder = work / f"ingest-{uuid.uuid4().hex}-version"
    try:
        write_images(folder, faces.images, order)
        manifest = build_manifest(faces, read_images(folder), sha256, order, work, report)
        return Ingested(folder, write_manifest(folder, manifest, origin))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
