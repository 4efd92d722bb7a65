"""What the service answers in a second: `python -m benchmarks.serving [--save] [--seconds 10]`.

The champion of FERLINE_HOME, served as `make serve` does, against three others on the same cores, the same picture and
the same load (hey): a plain peer (benchmarks/peer.py), MLflow's own scoring server, and for batches the bare ONNX
session. Servers are up one at a time and take turns; the best of two rounds counts. Then the latencies at 1 to 64
clients, and the memory before and after 20,000 requests.

Wanted: 2 times the peer's requests at 32 clients for /predict, 3 times for /explain; 0.6 of the bare session's images
through /predict_batch of 64 JPEGs; nothing but 200; memory that stays.
"""

import argparse
import contextlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from benchmarks.record import machine, save
from components.ingest.synthetic import SyntheticOptions, generate
from components.registry import Registry
from components.settings import Settings, load_settings
from serving.model import load_model

ROUNDS, BATCH, CLIENTS = 2, 64, (1, 8, 32, 64)
LONG_RUN = 20_000
BIN = Path(sys.executable).parent
BOUNDARY = "ferline-benchmark"


@dataclass(frozen=True)
class Load:
    """What hey saw."""

    per_second: float
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]


@dataclass(frozen=True)
class Body:
    """A request's body in a file, and its kind."""

    file: Path
    kind: str


@dataclass(frozen=True)
class Server:
    """A command that serves at a port, and where it says that it is ready."""

    command: list[str]
    port: int
    ready: str
    environment: dict[str, str]


def main() -> None:
    """Print and, on demand, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="append to results/serving.csv")
    parser.add_argument("--seconds", type=int, default=10, help="of load in every round")
    options = parser.parse_args()
    if not shutil.which("hey"):
        raise SystemExit("hey is not on the path; `apt-get install hey`, or from github.com/rakyll/hey")
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options.seconds)
    for row in rows:
        print(f"{row[0]:86} {row[1]:>12} {row[2]:>12} {row[3]:>8}")
    print(f"machine: {machine()}")
    if options.save:
        save("serving", ["what", "ours", "other", "ratio"], rows)


def measure(scratch: Path, seconds: int) -> list[tuple[str, str, str, str]]:
    """What, ours, the other's, ratio."""
    s = load_settings()
    registry = Registry(s.mlflow_uri, s.root / "mlflow-artifacts", s.model_name)
    version = registry.get("champion")
    artifact = registry.download(version.version, scratch / "artifact")
    faces = generate(SyntheticOptions(images=500))[0][:BATCH]
    one, batch, numbers = bodies(faces, scratch)
    ours, peer, scoring = servers(s, artifact, scratch)
    best: dict[tuple[str, str], Load] = {}

    def note(who: str, path: str, server: Server, body: Body, clients: int) -> None:
        found = load(server.port, path, body, clients, seconds)
        if (who, path) not in best or found.per_second > best[who, path].per_second:
            best[who, path] = found

    for _ in range(ROUNDS):
        with running(ours):
            for path, body, clients in (("/predict", one, 32), ("/explain", one, 32), ("/predict_batch", batch, 4)):
                note("ours", path, ours, body, clients)
        with running(peer):
            for path in ("/predict", "/explain"):
                note("peer", path, peer, form(one, scratch), 32)
        with running(scoring):
            note("mlflow", "/invocations", scoring, numbers, 32)
    bare = images_per_second(artifact, version, faces, seconds)
    rows = [
        _row(f"{path}, 32 clients, requests/s, against the peer", best["ours", path], best["peer", path])
        for path in ("/predict", "/explain")
    ]
    rows.append(
        _row("/predict, 32 clients, against mlflow serve", best["ours", "/predict"], best["mlflow", "/invocations"])
    )
    batched = BATCH * best["ours", "/predict_batch"].per_second
    rows.append(
        ("/predict_batch of 64, images/s, bare session", f"{batched:.0f}", f"{bare:.0f}", f"{batched / bare:.2f}")
    )
    with running(ours) as pid:
        rows += [_latency(path, clients, load(ours.port, path, one, clients, seconds))
                 for path in ("/predict", "/explain") for clients in CLIENTS]  # fmt: skip
        rows.append(memory(ours, pid, one))
    return rows


def bodies(faces: np.ndarray, scratch: Path) -> tuple[Body, Body, Body]:
    """One JPEG; a form of many; the same one as MLflow takes it."""
    jpegs = []
    for face in faces:
        buffer = io.BytesIO()
        Image.fromarray(face).save(buffer, "JPEG", quality=90)
        jpegs.append(buffer.getvalue())
    (scratch / "one.jpg").write_bytes(jpegs[0])
    (scratch / "many.form").write_bytes(_form("images", jpegs))
    (scratch / "one.json").write_text(json.dumps({"inputs": faces[:1].tolist()}))
    return (
        Body(scratch / "one.jpg", "image/jpeg"),
        Body(scratch / "many.form", f"multipart/form-data; boundary={BOUNDARY}"),
        Body(scratch / "one.json", "application/json"),
    )


def form(picture: Body, scratch: Path) -> Body:
    """One picture as a form, which is what BentoML's own image input takes."""
    file = scratch / "one.form"
    file.write_bytes(_form("image", [picture.file.read_bytes()]))
    return Body(file, f"multipart/form-data; boundary={BOUNDARY}")


def _form(name: str, files: list[bytes]) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    parts = [f"--{BOUNDARY}\r\n{head}".encode() + data + b"\r\n" for data in files]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def servers(s: Settings, artifact: Path, scratch: Path) -> tuple[Server, Server, Server]:
    """Ours, the peer, MLflow's."""
    home = {"FERLINE_HOME": str(s.root), "FERLINE_STORE": str(scratch / "store"), "BENTOML_DO_NOT_TRACK": "true",
            "BENTOML_HOME": str(scratch / "bentoml")}  # fmt: skip
    ports = [free_port() for _ in range(3)]
    bentoml, mlflow = str(BIN / "bentoml"), str(BIN / "mlflow")
    at = [["--port", str(port)] for port in ports]
    peer = {**home, "PEER_MODEL": str(artifact / "extra_files")}
    local = ["--env-manager", "local", "--host", "127.0.0.1"]
    return (
        Server([bentoml, "serve", "serving.service:FaceService", *at[0]], ports[0], "/readyz", home),
        Server([bentoml, "serve", "benchmarks.peer:PeerService", *at[1]], ports[1], "/readyz", peer),
        Server([mlflow, "models", "serve", "-m", str(artifact), *local, *at[2]], ports[2], "/ping",
               {"PATH": f"{BIN}:{os.environ['PATH']}"}),
    )  # fmt: skip


@contextlib.contextmanager
def running(server: Server) -> Iterator[int]:
    """Start a server, wait until it is ready, and end it; its process id."""
    process = subprocess.Popen(
        server.command, env={**os.environ, **server.environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + 180
        while not _answers(f"http://127.0.0.1:{server.port}{server.ready}"):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{' '.join(server.command)} did not start")
            time.sleep(0.3)
        yield process.pid
    finally:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.terminate()
        psutil.wait_procs(family, timeout=30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def load(port: int, path: str, body: Body, clients: int, seconds: int = 0, requests: int = 0) -> Load:
    """Ask for so long, or so often, after a second that is not counted."""
    hey = ["hey", "-c", str(clients), "-m", "POST", "-T", body.kind, "-D", str(body.file), "-t", "60"]
    url = f"http://127.0.0.1:{port}{path}"
    subprocess.run([*hey, "-z", "1s", url], capture_output=True, check=True)
    much = ["-n", str(requests)] if requests else ["-z", f"{seconds}s"]
    told = subprocess.run([*hey, *much, url], capture_output=True, text=True, check=True).stdout
    statuses = {status: int(count) for status, count in re.findall(r"\[(\d+)\]\s+(\d+) responses", told)}
    if "Error distribution" in told:
        statuses["errors"] = 1
    p50, p99 = (re.search(rf"{share}% in ([\d.]+) secs", told) for share in (50, 99))
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    if not (p50 and rate):
        raise SystemExit(f"hey said nothing of {path}:\n{told}")
    slow = 1000 * float(p99[1]) if p99 else float("nan")  # below a hundred answers there is none
    return Load(float(rate[1]), 1000 * float(p50[1]), slow, statuses)


def images_per_second(artifact: Path, version: object, faces: np.ndarray, seconds: int) -> float:
    """The bare session on a batch that is in memory already."""
    model = load_model(artifact, version)  # type: ignore[arg-type]
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        model.answer(faces)
        count += len(faces)
    return count / (time.perf_counter() - start)


def memory(server: Server, pid: int, body: Body) -> tuple[str, str, str, str]:
    """MB of all the server's processes after 2,000 and after 22,000 requests."""
    sizes = []
    for requests in (2000, LONG_RUN):
        told = load(server.port, "/predict", body, 32, requests=requests)
        sizes.append(sum(p.memory_info().rss for p in psutil.Process(pid).children(recursive=True)) / 1e6)
    words = f"memory over {LONG_RUN} requests, MB ({_statuses(told)})"
    return words, f"{sizes[1]:.0f}", f"{sizes[0]:.0f}", f"{sizes[1] / sizes[0]:.2f}"


def _row(what: str, ours: Load, other: Load) -> tuple[str, str, str, str]:
    ratio = ours.per_second / other.per_second
    return (
        f"{what} ({_statuses(ours)}; {_statuses(other)})",
        f"{ours.per_second:.0f}",
        f"{other.per_second:.0f}",
        f"{ratio:.2f}",
    )


def _latency(path: str, clients: int, found: Load) -> tuple[str, str, str, str]:
    words = f"{path}, {clients} clients: p50, p99 in ms ({_statuses(found)})"
    return words, f"{found.p50_ms:.1f}", f"{found.p99_ms:.1f}", f"{found.per_second:.0f}/s"


def _statuses(found: Load) -> str:
    return "only 200" if set(found.statuses) == {"200"} else str(found.statuses)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
