"""The real FER-2013: archive, folder and table are one dataset, and the one that is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.dataset import count, fingerprint
from components.ingest import IngestOptions
from components.ingest.archives import is_archive
from components.ingest.duplicates import pixel_hashes
from components.ingest.sources import read_source
from components.ingest.splits import assign_splits

pytestmark = pytest.mark.fer2013

NUMBERS = np.array([f"{value:>4}" for value in range(256)], "S4")
TRAINING = {"angry": 3995, "disgust": 436, "fear": 4097, "happy": 7215, "sad": 4830, "surprise": 3171, "neutral": 4965}


def read(source: Path, scratch: Path):
    """Kind and faces, as an ingest reads them before it looks for duplicates."""
    kind, faces = read_source(source, scratch, IngestOptions(), lambda *step: None)
    assert faces.bad == []
    return kind, faces


def table_of(faces) -> pd.DataFrame:
    sha256 = pixel_hashes(faces.images)
    faces = assign_splits(faces, sha256, None, "FER-2013")
    return pd.DataFrame({"split": faces.splits, "label": faces.labels, "sha256": sha256})


def write_csv(path: Path, faces, order) -> Path:
    with path.open("wb") as stream:
        stream.write(b"emotion,pixels,Usage\n")
        for i in order:
            pixels = NUMBERS[faces.images[i]].tobytes()
            stream.write(b"%d,%s,%s\n" % (faces.labels[i], pixels, faces.splits[i].encode()))
    return path


def test_archive_folder_and_table_are_one_dataset_of_the_known_counts(fer2013: Path, tmp_path: Path) -> None:
    found = [read(fer2013, tmp_path / "scratch")]
    if is_archive(fer2013):
        found.append(read(tmp_path / "scratch" / "unpacked", tmp_path))
    faces = found[-1][1]
    order = np.random.default_rng(0).permutation(len(faces.labels))
    found.append(read(write_csv(tmp_path / "fer2013.csv", faces, order), tmp_path))
    tables = [table_of(faces) for _, faces in found]
    assert [kind for kind, _ in found] in (["archive", "folder", "csv"], ["folder", "csv"])
    assert len({fingerprint(table, 48, 48) for table in tables}) == 1
    counts = count(tables[0])
    assert len(tables[0]) == 35887
    assert [sum(of.values()) for of in counts.values()] == [28709, 3589, 3589]
    assert counts["Training"] == TRAINING
