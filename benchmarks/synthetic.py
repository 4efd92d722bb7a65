"""Synthetic faces a second on one core: `OMP_NUM_THREADS=1 python -m benchmarks.synthetic`."""

import os
import platform
import time

TARGET = 2000
IMAGES = 4000
ROUNDS = 3


def main() -> None:
    """Print the best of three rounds: its time is what the machine can do when nothing else runs."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from components.ingest.synthetic import SyntheticOptions, generate

    generate(SyntheticOptions(images=200))
    seconds = []
    for seed in range(ROUNDS):
        start = time.perf_counter()
        generate(SyntheticOptions(images=IMAGES, seed=seed))
        seconds.append(time.perf_counter() - start)
    rate = IMAGES / min(seconds)
    print(f"synthetic faces: {rate:,.0f} images/s on one core, {rate / TARGET:.2f} x the {TARGET:,} asked for")
    print(f"machine: {platform.processor() or platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
