"""A real Prefect server and a process worker, on this machine alone."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

REPOSITORY = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    """What `true` gives once it is not false; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = true()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"after {seconds:g} s not: {what}")


@dataclass(frozen=True)
class Site:
    """Server, worker and the environment both run in."""

    url: str
    environment: dict[str, str]
    logs: Path
    started: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def prefect(self, *arguments: str, timeout: int = 120) -> "subprocess.CompletedProcess[str]":
        command = [str(Path(sys.executable).parent / "prefect"), "--no-prompt", *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout
        )

    def deploy(self) -> None:
        """All deployments of infra/prefect.yaml."""
        done = self.prefect("deploy", "--all", "--prefect-file", "infra/prefect.yaml")
        assert done.returncode == 0, done.stdout + done.stderr

    def pause_schedules(self) -> None:
        """Nothing starts at its hour beside what a test starts, and takes its slot."""
        done = self.prefect("deployment", "schedule", "pause", "--all")
        assert done.returncode == 0, done.stdout + done.stderr

    def start_worker(self) -> "subprocess.Popen[bytes]":
        """One more worker, in a process group of its own."""
        program = str(Path(sys.executable).parent / "prefect")
        return self.start([program, "worker", "start", "--pool", "ferline"], "worker")

    def start(self, command: list[str], name: str) -> "subprocess.Popen[bytes]":
        """A program that runs until the site ends."""
        self.started.append(_start(self, command, name))
        return self.started[-1]

    def ask(self, path: str, **body: Any) -> Any:
        """POST to the server's API."""
        answer = httpx.post(f"{self.url}{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, lenient_policy: Path, outside: dict[str, str]) -> Iterator[Site]:
    """Gone after the module: a worker that lives on starts the nightly run at its hour, beside other tests."""
    root = tmp_path_factory.mktemp("site")
    (root / "prefect").mkdir()
    port = free_port()
    environment = {
        **outside,
        "FERLINE_HOME": str(root / "home"),
        "FERLINE_POLICY": str(lenient_policy),
        "PREFECT_HOME": str(root / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(root / "home" / "store" / "results"),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "FERLINE_LOG_PIXELS": "true",
        "FERLINE_LOG_SECONDS": "0.3",
        "FERLINE_SERVE_POLL_SECONDS": "0.5",
        "BENTOML_HOME": str(root / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
    }
    site = Site(environment["PREFECT_API_URL"], environment, root)
    programs = [str(Path(sys.executable).parent / "prefect")]
    server = _start(site, [*programs, "server", "start", "--host", "127.0.0.1", "--port", str(port)], "server")
    try:
        wait_for(f"{site.url}/health")
        made = site.prefect("work-pool", "create", "ferline", "--type", "process")
        assert made.returncode == 0, made.stderr
        site.start_worker()
        yield site
    finally:
        for process in (*site.started, server):
            _end(process)


def _start(site: Site, command: list[str], name: str) -> "subprocess.Popen[bytes]":
    log = (site.logs / f"{name}.log").open("ab")
    return subprocess.Popen(
        command, env=site.environment, cwd=site.logs, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Prefect's worker sends itself an interrupt on SIGTERM and at times sleeps through it: then it is killed."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(60)


def wait_for(url: str) -> None:
    """Until something answers there with 200."""
    for _ in range(240):
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise TimeoutError(f"nothing at {url} after two minutes")
