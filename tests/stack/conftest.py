"""The team stack as docker-compose.yml describes it, natively: PostgreSQL, an S3 server, and every service of ours."""

import contextlib
import io
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.ingest.synthetic import SyntheticOptions, generate
from components.labels import CLASSES
from components.registry import Registry
from components.store import S3Store
from flows.stack.compose import Program, read_programs
from flows.stack.supervise import answers, start, write_config
from tests.e2e.conftest import REPOSITORY, free_port, until

BIN = Path(sys.executable).parent
KEY, SECRET = "development", "development-only"


@dataclass
class Server:
    """A program that tests stop and start again."""

    command: list[str]
    port: int
    log: Path
    environment: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        stream = self.log.open("ab")
        self.process = subprocess.Popen(
            self.command, stdout=stream, stderr=stream, start_new_session=True, env=self.environment
        )
        until(self.listens, 60, f"{self.command[0]} listens")

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it; SIGINT is PostgreSQL's fast shutdown."""
        assert self.process is not None
        os.killpg(self.process.pid, number)
        self.process.wait(60)


@dataclass
class Stack:
    """Everything, and the ways to look at it."""

    home: Path
    programs: dict[str, Program]
    postgres: Server
    s3: Server
    environment: dict[str, str]
    extra: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def store(self) -> S3Store:
        return S3Store("s3://ferline", f"127.0.0.1:{self.s3.port}", KEY, SECRET, "us-east-1")

    @property
    def registry(self) -> Registry:
        return Registry(f"http://127.0.0.1:{self.port('mlflow')}", self.home / "mlflow-artifacts", "ferline-fer")

    @property
    def service(self) -> str:
        return f"http://127.0.0.1:{self.port('service')}"

    def port(self, name: str) -> int:
        port = self.programs[name].port
        assert port is not None
        return port

    def log(self, name: str) -> str:
        """The end of a program's log."""
        file = self.home / "stack" / f"{name}.log"
        return file.read_text()[-4000:] if file.exists() else ""

    def set_ups(self) -> int:
        """How often the set-up has come to its end."""
        file = self.home / "stack" / "setup.log"
        return file.read_text().count("crash runs of dead workers") if file.exists() else 0

    def run(self, *command: str, timeout: int = 300) -> "subprocess.CompletedProcess[str]":
        """A command of this environment, as a person of the team would give it."""
        return subprocess.run(
            [str(BIN / command[0]), *command[1:]], env=self.environment, cwd=REPOSITORY, capture_output=True, text=True,
            timeout=timeout,
        )  # fmt: skip

    def pause_schedules(self) -> None:
        """Nothing starts at its hour beside what a test starts, and takes its slot."""
        done = self.run("prefect", "--no-prompt", "deployment", "schedule", "pause", "--all")
        assert done.returncode == 0, done.stdout + done.stderr

    def deploy_run(self, deployment: str, **parameters: Any) -> str:
        """Start a deployment; the run's id."""
        given = [part for k, v in parameters.items() for part in ("--param", f"{k}={json.dumps(v)}")]
        done = self.run("prefect", "--no-prompt", "deployment", "run", deployment, *given, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return next(word for word in done.stdout.split() if len(word) == 36 and word.count("-") == 4)

    def ask(self, path: str, **body: Any) -> Any:
        """POST to Prefect's API."""
        answer = httpx.post(f"http://127.0.0.1:{self.port('prefect')}/api{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def state(self, run: str) -> dict[str, Any]:
        """Where a flow run stands; {} while the server is away."""
        try:
            (found,) = self.ask("/flow_runs/filter", flow_runs={"id": {"any_": [run]}})
        except (httpx.HTTPError, ValueError):
            return {}
        state: dict[str, Any] = found["state"] or {}
        return state

    def ended(self, run: str, seconds: float = 300) -> dict[str, Any]:
        """Its final state."""
        final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

        def last() -> dict[str, Any] | None:
            state = self.state(run)
            return state if state.get("type") in final else None

        found: dict[str, Any] = until(last, seconds, f"run {run} has ended")
        return found

    def pids(self, name: str) -> list[int]:
        """Processes of a program, the first one first."""
        done = self.run("supervisorctl", "-c", str(self.home / "stack" / "supervisord.conf"), "pid", name)
        first = psutil.Process(int(done.stdout))
        return [first.pid, *(child.pid for child in first.children(recursive=True))]

    def kill(self, name: str) -> None:
        """End a program as a broken machine does."""
        for pid in self.pids(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def control(self, *arguments: str) -> None:
        """supervisorctl."""
        self.run("supervisorctl", "-c", str(self.home / "stack" / "supervisord.conf"), *arguments)

    def healthy(self, name: str, seconds: float = 120) -> None:
        url = self.programs[name].health or ""
        until(lambda: answers(url), seconds, f"{name} is up: {self.log(name)}")


def postgres_binaries() -> Path:
    """Debian's newest; skips where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not found:
        pytest.skip("PostgreSQL is not here: apt-get install postgresql")
    return found[-1]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A cluster of its own, with the databases that the compose file's script makes."""
    binaries, port = postgres_binaries(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="ferline-postgres-"))
    as_owner: list[str] = []
    if os.geteuid() == 0:  # it refuses to run as root
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        as_owner = ["runuser", "-u", "postgres", "--"]
    data = folder / "data"
    subprocess.run(
        [*as_owner, str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "--auth", "trust"], check=True,
        capture_output=True, cwd=folder,
    )  # fmt: skip
    command = [
        *as_owner,
        str(binaries / "postgres"),
        "-D",
        str(data),
        "-p",
        str(port),
        "-h",
        "127.0.0.1",
        "-k",
        str(folder),
    ]
    server = Server(command, port, tmp_path_factory.mktemp("postgres") / "postgres.log", dict(os.environ))
    server.start()
    passwords = {"PREFECT_DB_PASSWORD": SECRET, "MLFLOW_DB_PASSWORD": SECRET}
    subprocess.run(
        ["sh", str(REPOSITORY / "infra" / "postgres" / "databases.sh")], check=True, capture_output=True,
        env={**os.environ, **passwords, "PGHOST": "127.0.0.1", "PGPORT": str(port)},
    )  # fmt: skip
    yield server
    server.stop(signal.SIGINT)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An S3 server over HTTP without any bucket: those are the set-up's."""
    root, port = tmp_path_factory.mktemp("s3"), free_port()
    (root / "data").mkdir()
    options = ["--data-dir", str(root / "data"), "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    command = [str(BIN / "nanio"), "serve", *options]
    keys = {**os.environ, "NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET}
    server = Server(command, port, root / "s3.log", keys)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def stack(
    postgres: Server, s3_server: Server, lenient_policy: Path, outside: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:  # fmt: skip
    """All of it, set up and healthy."""
    home = tmp_path_factory.mktemp("team") / "home"
    ports = {f"{name}_PORT": str(free_port()) for name in ("PREFECT", "MLFLOW", "SERVICE", "DASHBOARD")}
    elsewhere = {"postgres:5432": f"127.0.0.1:{postgres.port}", "s3:8333": f"127.0.0.1:{s3_server.port}"}
    keys = {f"S3_{who}_{part}_KEY": value for who in ("ADMIN", "FERLINE", "MLFLOW")
            for part, value in (("ACCESS", KEY), ("SECRET", SECRET))}  # fmt: skip
    programs = read_programs(home, {**ports, **keys, "FERLINE_LOG_PIXELS": "true"}, elsewhere)
    own = {key: value for program in programs for key, value in program.environment.items()}
    quick = {
        "FERLINE_POLICY": str(lenient_policy), "FERLINE_SERVE_POLL_SECONDS": "0.5", "FERLINE_LOG_SECONDS": "0.5",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    stack = Stack(home, {p.name: p for p in programs}, postgres, s3_server, {**outside, **quick, **own})
    supervisor = start(write_config(programs, home / "stack"), programs, {**outside, **quick})
    try:
        for name in ("prefect", "mlflow", "service", "dashboard"):
            stack.healthy(name)
        until(stack.set_ups, 120, f"set up: {stack.log('setup')}")
        stack.pause_schedules()
        yield stack
    finally:
        supervisor.terminate()
        supervisor.wait(90)
        for process in stack.extra:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


FACES = "synthetic:images=700,seed=3"


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def predict(url: str, faces: int, seed: int, told: bool = False) -> list[str]:
    """Ask a service for some faces, fifty at a time; the ids of the answers. told: say the true class of each."""
    images, labels, _ = generate(SyntheticOptions(images=max(100, faces), seed=seed))
    ids = []
    with httpx.Client(base_url=url, timeout=60) as client:
        for begin in range(0, faces, 50):
            some = range(begin, min(begin + 50, faces))
            answer = client.post(
                "/predict_batch", files=[("images", (f"{k}.png", png(images[k]), "image/png")) for k in some]
            )
            assert answer.status_code == 200, answer.text
            ids += [each["id"] for each in answer.json()["answers"]]
        for id, label in zip(ids, labels[:faces], strict=True) if told else ():
            assert client.post("/feedback", json={"id": id, "class": CLASSES[label]}).status_code == 200
    return ids


def logged(stack: Stack) -> list[str]:
    """Ids of all predictions in the bucket, with repetitions."""
    names = [name for name in stack.store.list("predictions/") if name.endswith(".parquet")]
    tables = [pq.read_table(io.BytesIO(stack.store.read_bytes(name)), columns=["id"]) for name in names]
    return [id for table in tables for id in table["id"].to_pylist()]


@pytest.fixture(scope="session")
def champion(stack: Stack) -> str:
    """A first promoted version, trained by the worker and taken up by the service; its number."""
    training = {"presets": ["quick"], "overrides": ["epochs=20", "patience=0", "precision=fp32"]}
    run = stack.deploy_run("train-pipeline/default", data={"source": FACES}, training=training)
    state = stack.ended(run)
    assert state["name"] == "Promoted", stack.log("worker")
    until(lambda: httpx.get(f"{stack.service}/readyz").json()["model"] == "1", 60, "the service has it")
    return "1"
