"""Threads, workers and batch size of the service: `python -m benchmarks.tuning [--save] [--seconds 6]`.

The champion of FERLINE_HOME over HTTP at 32 clients (hey), one run a setting: threads of ONNX Runtime, processes that
answer, most faces in one run of the model. The first line is what `make serve` does; the others change one of the
three, and one line both threads and processes.
"""

import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.record import machine, save
from benchmarks.serving import BATCH, BIN, Load, Server, bodies, free_port, load, running
from components.ingest.synthetic import SyntheticOptions, generate
from components.registry import Registry
from components.settings import load_settings

CLIENTS = 32
ENTRY = """
import serving.batcher, serving.model
serving.batcher.MOST = {most}
build = serving.model.open_model
serving.model.open_model = lambda path, threads=None: build(path, {threads})
from serving.service import FaceService
"""


@dataclass(frozen=True)
class Setting:
    """One way to run the service."""

    threads: int
    workers: int
    most: int

    @property
    def name(self) -> str:
        return f"{self.threads} threads, {self.workers} workers, batches of {self.most}"


def settings(cores: int) -> list[Setting]:
    """The shipped one, those that differ in one thing, and one thread in each of as many processes as cores."""
    shipped = Setting(cores, 1, 64)
    return [
        shipped, Setting(1, 1, 64), Setting(1, cores, 64), Setting(cores, cores, 64), Setting(cores, 1, 1),
        Setting(cores, 1, 8), Setting(cores, 1, 16), Setting(cores, 1, 32),
    ]  # fmt: skip


def measure(setting: Setting, scratch: Path, seconds: int) -> Load:
    """Requests a second of /predict with a 48-pixel PNG."""
    folder = scratch / f"{setting.threads}-{setting.workers}-{setting.most}"
    folder.mkdir()
    (folder / "tuned.py").write_text(ENTRY.format(most=setting.most, threads=setting.threads))
    environment = {
        "FERLINE_HOME": str(load_settings().root), "FERLINE_STORE": str(scratch / "store"),
        "FERLINE_SERVE_WORKERS": str(setting.workers), "PYTHONPATH": f"{folder}:{Path.cwd()}",
        "BENTOML_HOME": str(scratch / "bentoml"), "BENTOML_DO_NOT_TRACK": "true",
    }  # fmt: skip
    port = free_port()
    command = [str(BIN / "bentoml"), "serve", "tuned:FaceService", "--port", str(port)]
    picture, *_ = bodies(generate(SyntheticOptions(images=500))[0][:BATCH], folder)
    with running(Server(command, port, "/readyz", environment)):
        return load(port, "/predict", picture, CLIENTS, seconds)


def main() -> None:
    """Print a line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--save", action="store_true", help="append to results/tuning.csv")
    options = parser.parse_args()
    s = load_settings()
    Registry(s.mlflow_uri, s.root / "mlflow-artifacts", s.model_name).get("champion")  # says what to do without one
    lines = []
    with tempfile.TemporaryDirectory() as name:
        for setting in settings(os.cpu_count() or 1):
            found = measure(setting, Path(name), options.seconds)
            lines.append([setting.name, f"{found.per_second:.0f}", f"{found.p50_ms:.0f}", f"{found.p99_ms:.0f}"])
            print(f"{setting.name:40} {found.per_second:6.0f}/s, p50 {found.p50_ms:.0f} ms, p99 {found.p99_ms:.0f} ms")
    print(f"machine: {machine()}")
    if options.save:
        save("tuning", ["setting", "requests_per_second", "p50_ms", "p99_ms"], lines)


if __name__ == "__main__":
    main()
