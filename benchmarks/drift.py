"""A monitor run over 10,000, 100,000 and 1,000,000 logged predictions: `python -m benchmarks.drift [--save]`.

Ours: the window read from the log's Parquet files in columns, every check, and Evidently's snapshot of the drawn rows.
Peer: the same files read whole into one frame and handed to Evidently's DataDriftPreset, embedding included as columns.
Each in a process of its own, with its peak memory. Embeddings have 64 dimensions; wanted are 2 minutes and 3 GB at a
million.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.record import machine, save

SIZES = (10_000, 100_000, 1_000_000)
DIMENSIONS = 64
FILE = 5000  # rows, as the service ships them
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TARGET_SECONDS, TARGET_MB = 120, 3000

Figures = dict[str, float]


def write_log(folder: Path, rows: int) -> None:
    """A log of made-up predictions, a hundredth of them labelled, and a reference beside it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from components.predictions import LABELS, SCHEMA, id_at

    rng = np.random.default_rng(0)
    for kind in ("predictions", "labels"):
        (folder / kind / "day=2026-11-20").mkdir(parents=True)
    ids = sorted(id_at(NOON + timedelta(milliseconds=10 * k), rng.bytes(10)) for k in range(rows))
    for start in range(0, rows, FILE):
        part = ids[start : start + FILE]
        n = len(part)
        sure = rng.dirichlet(np.full(7, 0.3), n).astype(np.float32)
        columns = {
            "id": part, "time": [NOON + timedelta(milliseconds=10 * (start + k)) for k in range(n)],
            "version": ["1"] * n, "role": ["champion"] * n, "answer": sure.argmax(1), "confidence": sure.max(1),
            "uncertain": sure.max(1) < 0.4, "probabilities": list(sure),
            "brightness": rng.normal(118, 25, n).astype(np.float32),
            "contrast": rng.normal(50, 9, n).astype(np.float32),
            "sharpness": rng.gamma(2, 300, n).astype(np.float32), "face_width": np.full(n, 48, np.int32),
            "embedding": list(rng.normal(size=(n, DIMENSIONS)).astype(np.float32)),
            "latency_ms": np.ones(n, np.float32), "tag": ["door" if k % 2 else "desk" for k in range(n)],
            "pixels": [None] * n,
        }  # fmt: skip
        pq.write_table(pa.table(columns, SCHEMA), folder / f"predictions/day=2026-11-20/{part[0]}-{part[-1]}-x.parquet")
        told = part[::100]
        labels = pa.table({"id": told, "time": [NOON] * len(told), "label": rng.integers(0, 7, len(told))}, LABELS)
        when = f"{NOON:%Y%m%d%H%M%S%f}"
        pq.write_table(labels, folder / f"labels/day=2026-11-20/{told[0]}-{told[-1]}-{when}.parquet")


def reference() -> "tuple[pd.DataFrame, np.ndarray]":
    """5,000 rows of the same kind, a little brighter."""
    rng = np.random.default_rng(1)
    sure = rng.dirichlet(np.full(7, 0.3), 5000).astype(np.float32)
    table = pd.DataFrame(
        {
            "brightness": rng.normal(120, 25, 5000), "contrast": rng.normal(50, 9, 5000),
            "sharpness": rng.gamma(2, 300, 5000), "answer": sure.argmax(1), "confidence": sure.max(1),
            "uncertain": sure.max(1) < 0.4, "label": sure.argmax(1),
        }
    )  # fmt: skip
    return table, rng.normal(size=(5000, DIMENSIONS)).astype(np.float32)


def ours(folder: Path) -> Figures:
    """Window, checks, snapshot."""
    from components.drift import DriftPolicy, Reference, detect, evidently
    from components.journal import Logbook, read_window
    from components.store import LocalStore

    start = time.perf_counter()
    policy = DriftPolicy()
    known = Reference(*reference())
    until = NOON + timedelta(days=1)
    window = read_window(Logbook(LocalStore(folder)), "1", NOON, until, policy.window.sample)
    read = time.perf_counter()
    report = detect(known, window, policy)
    checked = time.perf_counter()
    evidently.run_evidently(known, window, report)
    end = time.perf_counter()
    return {"seconds": end - start, "read": read - start, "checks": checked - read, "evidently": end - checked}


def peer(folder: Path) -> Figures:
    """Everything at once, to the preset."""
    import pyarrow.parquet as pq
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    start = time.perf_counter()
    frame = pq.read_table(folder / "predictions").to_pandas()
    table, embedding = reference()
    names = [f"e_{k:03d}" for k in range(embedding.shape[1])]
    numbers = ["brightness", "contrast", "sharpness", "confidence", *names]
    sides = []
    for side, values in ((frame, np.stack(frame["embedding"].to_list())), (table, embedding)):
        whole = pd.concat([side.reset_index(drop=True), pd.DataFrame(values, columns=names)], axis=1)
        kept = whole[[*numbers, "answer", "uncertain"]].astype({"answer": str, "uncertain": str})
        definition = DataDefinition(numerical_columns=numbers, categorical_columns=["answer", "uncertain"])
        sides.append(Dataset.from_pandas(kept, data_definition=definition))
    Report([DataDriftPreset()]).run(*sides)
    return {"seconds": time.perf_counter() - start}


WAYS = {"ours": ours, "peer": peer}


def measure(way: str, folder: Path) -> Figures:
    """One way in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.drift", "--way", way, "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return {"seconds": float("nan"), "peak_memory_mb": float("nan")}  # killed for its memory, say
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Print both ways at every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="append to results/drift.csv")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        figures = WAYS[options.way](options.folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
        print(json.dumps({**figures, "peak_memory_mb": peak}))
        return
    lines = []
    for rows in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_log(folder, rows)
            own, other = (measure(way, folder) for way in ("ours", "peer"))
        ratio = own["seconds"] / other["seconds"]
        stages = ", ".join(f"{name} {own[name]:.1f}" for name in ("read", "checks", "evidently"))
        print(
            f"{rows:>9,} rows: ours {own['seconds']:.1f} s ({stages}), {own['peak_memory_mb']:,.0f} MB; whole frame to"
        )
        print(f"  the preset {other['seconds']:.1f} s, {other['peak_memory_mb']:,.0f} MB; ratio {ratio:.2f}")
        lines.append(
            [str(rows), f"{own['seconds']:.1f}", f"{own['peak_memory_mb']:.0f}", f"{other['seconds']:.1f}",
             f"{other['peak_memory_mb']:.0f}", f"{ratio:.2f}"]
        )  # fmt: skip
    print(f"wanted at a million: below {TARGET_SECONDS} s and {TARGET_MB:,} MB")
    print(f"machine: {machine()}")
    if options.save:
        save("drift", ["rows", "seconds", "peak_memory_mb", "peer_seconds", "peer_peak_memory_mb", "ratio"], lines)


if __name__ == "__main__":
    main()
