"""Pictures scored in a second: `python -m benchmarks.scoring [--save] [--pictures 4000]`.

The champion of FERLINE_HOME on drawn faces as PNG files: a plain loop (Pillow, one ONNX call a picture, one CSV line),
one process in parts, two workers of a Ray cluster of this machine. Each in a process of its own, and parts and Ray
also with ten times the pictures: peak memory of all their processes together should not follow.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from benchmarks.record import machine, save
from components.ingest.synthetic import SyntheticOptions, generate

TENFOLD = 10


def write_pictures(folder: Path, count: int) -> None:
    """`count` PNG files; a thousand different faces, repeated."""
    images, _, _ = generate(SyntheticOptions(images=1000))
    for k in range(count):
        place = folder / f"{k // 1000:04d}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[k % 1000]).save(place / f"{k:07d}.png", compress_level=1)


def plain(source: Path, out: Path) -> None:
    """What one writes first."""
    import onnxruntime

    from flows.context import artifact, registry

    session = onnxruntime.InferenceSession(str(artifact(registry().get("champion")) / "model.onnx"))
    with (out.with_suffix(".csv")).open("w", newline="") as stream:
        writer = csv.writer(stream)
        for file in sorted(source.rglob("*.png")):
            with Image.open(file) as picture:
                crop = np.asarray(picture.convert("L").resize((48, 48)))
            (probabilities,) = session.run(["probabilities"], {"images": crop[None]})
            writer.writerow([file.name, *probabilities[0].tolist()])


def in_parts(source: Path, out: Path, backend: str) -> None:
    """`ferline predict --parts`, without looking for faces: these are crops."""
    from flows.offline import predict_batch
    from flows.parameters import BatchParameters

    predict_batch(BatchParameters(str(source), str(out), face="none", backend=backend), lambda *_: None)  # type: ignore[arg-type]


def measure(way: str, source: Path, out: Path) -> tuple[float, float]:
    """(seconds of the work itself, peak MB of the process with all it started)."""
    command = [sys.executable, "-m", "benchmarks.scoring", "--way", way, "--source", str(source), "--out", str(out)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(child, peak))
    watcher.start()
    said, _ = child.communicate()
    watcher.join()
    if child.returncode:
        raise SystemExit(f"{way} ended with status {child.returncode}")
    return json.loads(said.splitlines()[-1])["seconds"], peak[0]


def _watch(child: "subprocess.Popen[str]", peak: list[float]) -> None:
    """Private memory, so that what processes share counts once."""
    me = psutil.Process(child.pid)
    while child.poll() is None:
        total = 0
        try:
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_full_info().uss
                except psutil.Error:
                    continue
        except psutil.Error:
            break
        peak[0] = max(peak[0], total / 1e6)
        time.sleep(0.5)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--save", action="store_true", help="append to results/scoring.csv")
    parser.add_argument("--way", choices=["plain", "local", "ray"], help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        started = time.perf_counter()
        if options.way == "plain":
            plain(options.source, options.out)
        else:
            in_parts(options.source, options.out, options.way)
        print(json.dumps({"seconds": time.perf_counter() - started}))
        return
    rows = []
    print(f"{machine()}\n{'way':<8}{'pictures':>10}{'seconds':>10}{'a second':>10}{'ratio':>8}{'peak MB':>10}")
    with tempfile.TemporaryDirectory() as scratch:
        base = 0.0
        for count in (options.pictures, TENFOLD * options.pictures):
            source = Path(scratch) / str(count)
            write_pictures(source, count)
            for way in ("plain", "local", "ray") if count == options.pictures else ("local", "ray"):
                seconds, peak = measure(way, source, Path(scratch) / f"{way}-{count}")
                base = base or count / seconds
                ratio = count / seconds / base
                row = (way, count, f"{seconds:.1f}", f"{count / seconds:.0f}", f"{ratio:.2f}", f"{peak:.0f}")
                print("{:<8}{:>10}{:>10}{:>10}{:>8}{:>10}".format(*row), flush=True)
                rows.append(row)
    if options.save:
        save("scoring", ("way", "pictures", "seconds", "a_second", "ratio", "peak_mb"), rows)


if __name__ == "__main__":
    main()
