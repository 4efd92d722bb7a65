"""Near-duplicates among 36 thousand to 3.6 million hashes: `python -m benchmarks.duplicates [--save]`.

The hashes: perceptual hashes of drawn faces, each new one with every bit from one of two random parents, so that bits
are as skewed and as correlated as those of faces; one in a hundred repeats another with 1 to 5 bits flipped. Ours: the
index, which is to find all of these. Brute force: all pairs compared, whole for the smallest size and estimated from a
part of the pairs for the others. Exact: pairs are those of brute force, of all hashes or of SAMPLE of them. Each size
runs in a process of its own; its peak memory counts the making of the hashes too. Growth and ratio are of processor
seconds, those of all threads: a busy machine slows the clock alone.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from itertools import islice
from typing import TYPE_CHECKING

from benchmarks.record import machine, save

if TYPE_CHECKING:  # the parent stays small: a child's peak memory begins at its parent's
    from components.ingest.hamming import Hashes, Pairs

SIZES = (36_000, 360_000, 3_600_000)
SECONDS_TARGET, MEMORY_TARGET_MB = 300, 4000  # of the largest
PARENTS = "synthetic:images=3000,seed=5"
PLANTED = 100  # hashes for one that repeats another
FLIPPED = 5
SAMPLE = 100  # hashes compared with all others where all with all would take minutes
PARTS = 40  # of brute force, where it is estimated

Figures = dict[str, float]
HEAD = [
    "hashes", "seconds", "processor_seconds", "growth", "peak_memory_mb", "pairs", "planted", "planted_found",
    "checked", "brute_processor_seconds",
]  # fmt: skip


def population(count: int) -> "tuple[Hashes, Pairs]":
    """Hashes uint64 [N], and the pairs planted among them."""
    import numpy as np

    from components.ingest.duplicates import perceptual_hashes
    from components.ingest.synthetic import generate, parse_options

    rng = np.random.default_rng(0)
    parents = perceptual_hashes(generate(parse_options(PARENTS))[0], lambda *step: None)
    one, other = parents[rng.integers(0, len(parents), (2, count))]
    mask = rng.integers(0, 2**64, count, dtype=np.uint64)
    hashes = (one & mask) | (other & ~mask)
    copies, originals = np.split(rng.permutation(count)[: 2 * (count // PLANTED)], 2)
    hashes[copies] = hashes[originals]
    for flips in range(FLIPPED):  # the k-th flip goes to those that have so many
        some = copies[rng.integers(0, FLIPPED, len(copies)) >= flips] if flips else copies
        hashes[some] ^= np.uint64(1) << rng.integers(0, 64, len(some), dtype=np.uint64)
    return hashes, np.sort(np.stack([originals, copies], axis=1), axis=1)


def measure(count: int) -> Figures:
    """The index on so many hashes, and brute force beside it."""
    import numpy as np

    from components.ingest.hamming import indexed_pairs

    hashes, planted = population(count)
    start, busy = time.perf_counter(), time.process_time()
    pairs = np.concatenate(list(indexed_pairs(hashes, lambda *step: None)))
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    names = pairs @ (count, 1)  # a number for each pair
    found = int(np.isin(planted @ (count, 1), names).sum())
    checked, brute = compare(hashes, np.sort(names))
    return {
        "hashes": count, "seconds": seconds, "processor_seconds": busy, "peak_memory_mb": peak, "pairs": len(pairs),
        "planted": len(planted), "planted_found": found, "checked": checked, "brute_processor_seconds": brute,
    }  # fmt: skip


def compare(hashes: "Hashes", names: "Pairs") -> tuple[int, float]:
    """How many hashes were compared, and processor seconds of brute force; stops where its pairs are not ours."""
    import numpy as np

    from components.ingest.hamming import CHUNK, INDEXED_BITS, compared_pairs

    count, whole = len(hashes), len(hashes) == SIZES[0]
    start = time.process_time()
    found = list(islice(compared_pairs(hashes, INDEXED_BITS, lambda *step: None), None if whole else PARTS))
    seconds = time.process_time() - start
    if whole:
        agreed = np.array_equal(np.concatenate(found) @ (count, 1), names)
    else:
        seconds *= (count - 1) / 2 / (PARTS * max(1, CHUNK // count))
        agreed = all(
            _partners(hashes, i, INDEXED_BITS) == _named(names, i, count) for i in range(0, count, count // SAMPLE)
        )
    if not agreed:
        raise SystemExit(f"{count:,} hashes: the index and brute force differ")
    return count if whole else SAMPLE, seconds


def _partners(hashes: "Hashes", row: int, bits: int) -> list[int]:
    import numpy as np

    near = np.flatnonzero(np.bitwise_count(hashes ^ hashes[row]) <= bits)
    return [int(other) for other in near if other != row]


def _named(names: "Pairs", row: int, count: int) -> list[int]:
    i, j = names // count, names % count
    return sorted([*j[i == row].tolist(), *i[j == row].tolist()])


def main() -> None:
    """Print time, memory, pairs and growth for each size, and the machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="append to results/duplicates.csv")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.size:
        print(json.dumps(measure(options.size)))
        return
    every: list[Figures] = []
    for size in SIZES:
        command = [sys.executable, "-m", "benchmarks.duplicates", "--size", str(size)]
        figures = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        figures["growth"] = figures["processor_seconds"] / every[-1]["processor_seconds"] if every else 1
        every.append(figures)
        show(figures)
    print(
        f"wanted:  the last below {SECONDS_TARGET} s and {MEMORY_TARGET_MB:,} MB, time to grow about as the hashes do"
    )
    print(f"machine: {machine()}")
    if options.save:
        save("duplicates", HEAD, [[f"{figures[name]:.6g}" for name in HEAD] for figures in every])


def show(figures: Figures) -> None:
    """One size as lines."""
    whole = figures["checked"] == figures["hashes"]
    own, brute = figures["processor_seconds"], figures["brute_processor_seconds"]
    print(f"{figures['hashes']:,.0f} hashes")
    print(f"  ours:    {figures['seconds']:.1f} s; {own:.2f} processor s (x {figures['growth']:.1f})")
    print(f"  brute:   {brute:,.1f} processor s{'' if whole else ' (estimated)'}, {brute / own:,.1f} times ours")
    print(f"  memory:  {figures['peak_memory_mb']:,.0f} MB")
    print(f"  pairs:   {figures['pairs']:,.0f}; those of brute force for {figures['checked']:,.0f} hashes")
    print(f"  planted: {figures['planted_found']:,.0f} of {figures['planted']:,.0f} found", flush=True)


if __name__ == "__main__":
    main()
