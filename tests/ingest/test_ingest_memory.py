"""An ingest of ten times as many images takes hardly more memory: their pixels are never in it as a whole."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.labels import CLASSES, SPLITS

SIZE = 256  # pixels a side, so that pixels are nearly all of an image's memory
BLOCKY = 16  # pixels of one gray value on end
FEW, MANY = 100, 1000

MEASURED = """
import sys, tracemalloc
from pathlib import Path
import components.ingest.images, components.ingest.manifest, components.ingest.splits, components.ingest.table
from components.ingest import IngestOptions, ingest

tracemalloc.start()
ingested = ingest(sys.argv[1], Path(sys.argv[2]), IngestOptions(size=int(sys.argv[3])))
print(ingested.info.images, tracemalloc.get_traced_memory()[1])
"""


def faces(count: int):
    """Label, split and pixels, one image after another."""
    rng = np.random.default_rng(0)
    for i in range(count):
        gray = rng.integers(0, 256, (SIZE // BLOCKY,) * 2, dtype=np.uint8)
        yield i % 7, SPLITS[i % 3], gray.repeat(BLOCKY, 0).repeat(BLOCKY, 1)


def write_folder(path: Path, count: int) -> Path:
    for i, (label, split, image) in enumerate(faces(count)):
        place = path / split / CLASSES[label] / f"{i}.pgm"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"P5 %d %d 255\n" % image.shape + image.tobytes())
    return path


def write_table(path: Path, count: int) -> Path:
    with path.open("w") as stream:
        stream.write("emotion,pixels,Usage\n")
        for label, split, image in faces(count):
            rows = [" ".join(map(str, row.tolist())) for row in image[::BLOCKY]]
            stream.write(f"{label},{' '.join(row for row in rows for _ in range(BLOCKY))},{split}\n")
    return path


def peak(source: Path, work: Path, count: int) -> int:
    """Bytes of an ingest in a process of its own, what is mapped from files not counted."""
    command = [sys.executable, "-c", MEASURED, str(source), str(work), str(SIZE)]
    images, traced = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(images) == count
    return int(traced)


@pytest.mark.parametrize("write", [write_folder, write_table], ids=["folder", "table"])
def test_peak_memory_stays_flat_as_the_images_grow_tenfold(write, tmp_path: Path) -> None:
    few, many = (peak(write(tmp_path / f"{count}.csv", count), tmp_path / "work", count) for count in (FEW, MANY))
    pixels = (MANY - FEW) * SIZE**2
    assert many - few < pixels / 2, f"{few / 1e6:.0f} to {many / 1e6:.0f} MB, pixels {pixels / 1e6:.0f} MB more"
