"""FER-2013's CSV to a dataset version: `python -m benchmarks.ingest fer2013.csv [--save]`.

Peer: pandas.read_csv(engine="pyarrow") and one np.fromstring over all pixels; it yields an array, no dataset version.
Naive: the same table, each row split by itself. Ours: the whole ingest, and the same without its duplicate search.
Each way runs in a process of its own, imports apart, rounds interleaved; the best round counts. Without a file, the
image folder or archive in FERLINE_FER2013 is written out as a CSV first.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.record import machine, save

TARGET, MEMORY_TARGET_MB = 1.5, 2000
ROUNDS = 3
DUPLICATE_SEARCH = ("perceptual hashes", "near-duplicates")

Figures = dict[str, float]


def peer(path: Path) -> Figures:
    """Read and parse in bulk."""
    import numpy as np
    import pandas as pd
    import pyarrow.csv  # noqa: F401  # the engine's import is no part of the time

    start = time.perf_counter()
    table = pd.read_csv(path, engine="pyarrow")
    pixels = np.fromstring(" ".join(table["pixels"]), dtype=np.uint8, sep=" ").reshape(len(table), 48, 48)
    return {"seconds": time.perf_counter() - start, "images": len(pixels)}


def naive(path: Path) -> Figures:
    """Split each row."""
    import numpy as np
    import pandas as pd

    start = time.perf_counter()
    table = pd.read_csv(path)
    pixels = np.stack([np.array(row.split(), dtype=np.uint8) for row in table["pixels"]])
    return {"seconds": time.perf_counter() - start, "images": len(pixels)}


def ours(path: Path) -> Figures:
    """A dataset version, with and without the time of its duplicate search."""
    import components.ingest.duplicates
    import components.ingest.table  # noqa: F401  # imported ahead, as the peer's are
    from components.ingest import IngestOptions, ingest

    begun: dict[str, float] = {}
    ended: dict[str, float] = {}

    def report(stage: str, done: int, total: int) -> None:
        begun.setdefault(stage, time.perf_counter())
        ended[stage] = time.perf_counter()

    with tempfile.TemporaryDirectory() as work:
        start = time.perf_counter()
        ingested = ingest(path, Path(work), IngestOptions(), report)
        seconds = time.perf_counter() - start
    search = sum(ended[stage] - begun[stage] for stage in DUPLICATE_SEARCH)
    return {"seconds": seconds - search, "images": ingested.info.images, "search_seconds": search}


WAYS: dict[str, Callable[[Path], Figures]] = {"peer": peer, "naive": naive, "ours": ours}


def measure(way: str, path: Path) -> Figures:
    """One way in a fresh process, with its peak memory."""
    command = [sys.executable, "-m", "benchmarks.ingest", str(path), "--way", way]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: Figures = json.loads(done.stdout)
    return figures


def main() -> None:
    """Print peer, ours, naive, ratios, memory and machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path, nargs="?", help="fer2013.csv")
    parser.add_argument("--save", action="store_true", help="append to results/ingest.csv")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        figures = WAYS[options.way](options.csv)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
        print(json.dumps({**figures, "peak_memory_mb": peak}))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.csv or write_csv(Path(folder))
        path.read_bytes()  # every way finds the file in memory
        rounds = [{way: measure(way, path) for way in WAYS} for _ in range(ROUNDS)]
        best = {way: min((each[way] for each in rounds), key=lambda figures: figures["seconds"]) for way in WAYS}
        show(best, path)
    if options.save:
        save("ingest", ["way", "seconds", "ratio", "search_seconds", "peak_memory_mb"], rows(best))


def write_csv(folder: Path) -> Path:
    """FER-2013's CSV from its images; stops where there are none."""
    named = os.environ.get("FERLINE_FER2013")
    if not named:
        raise SystemExit("name fer2013.csv, or FER-2013's image folder or archive in FERLINE_FER2013")
    from components.dataset import open_dataset
    from components.ingest import IngestOptions, ingest

    dataset = open_dataset(ingest(named, folder, IngestOptions()).folder)
    path = folder / "fer2013.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["emotion", "pixels", "Usage"])
        for image, label, split in zip(dataset.images, dataset.labels, dataset.manifest["split"], strict=True):
            writer.writerow([label, " ".join(map(str, image.ravel().tolist())), split])
    return path


def show(best: dict[str, Figures], path: Path) -> None:
    """The result as lines."""
    bulk, split, own = best["peer"], best["naive"], best["ours"]
    print(f"source:  {path.name}, {path.stat().st_size / 1e6:.0f} MB, {own['images']:,.0f} images; best of {ROUNDS}")
    print(f"peer:    {_line(bulk)} (pyarrow table and one bulk parse)")
    print(f"naive:   {_line(split)}, ratio {split['seconds'] / bulk['seconds']:.2f}")
    print(f"ours:    {_line(own)}, ratio {own['seconds'] / bulk['seconds']:.2f}")
    print(f"wanted:  ratio at most {TARGET}, below {MEMORY_TARGET_MB:,} MB")
    print(f"apart:   duplicate search {own['search_seconds']:.1f} s")
    print(f"machine: {machine()}")


def _line(figures: Figures) -> str:
    return f"{figures['seconds']:.2f} s, {figures['peak_memory_mb']:,.0f} MB"


def rows(best: dict[str, Figures]) -> list[list[str]]:
    """A line a way for the results."""
    found = []
    for way, figures in best.items():
        ratio = figures["seconds"] / best["peer"]["seconds"]
        search = f"{figures['search_seconds']:.2f}" if "search_seconds" in figures else ""
        found.append([way, f"{figures['seconds']:.2f}", f"{ratio:.2f}", search, f"{figures['peak_memory_mb']:.0f}"])
    return found


if __name__ == "__main__":
    main()
