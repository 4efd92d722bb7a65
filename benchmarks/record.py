"""Where figures are kept, and the machine they were measured on."""

import csv
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """Processor architecture, cores, and how busy they are."""
    load = f"load {os.getloadavg()[0]:.1f}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {load}, Python {platform.python_version()}"


def save(name: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Append rows to results/NAME.csv, each between the date and the machine."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.csv"
    fresh = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if fresh:
            writer.writerow(["date", *head, "machine"])
        writer.writerows([date.today().isoformat(), *row, machine()] for row in rows)
