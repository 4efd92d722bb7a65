"""Shared by all tests: a clean environment, a gate that lets anything pass, one tiny dataset, a real S3 server."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.dataset import Dataset, open_dataset
from components.store import LocalStore, S3Store, Store

REPOSITORY = Path(__file__).parents[1]
KEPT = ("FERLINE_FER2013", "FERLINE_TEST_MODEL")  # what a person names for the tests themselves
KEY, SECRET = "ferline-test", "ferline-test-secret"
OWN = tempfile.TemporaryDirectory(prefix="ferline-prefect-")  # Prefect reads its home once, when it is imported
os.environ["PREFECT_HOME"] = OWN.name


def and_leave(act: Callable[..., object], *arguments: object) -> None:
    """Target of a forked child: leaves at once, past what Prefect, loaded by other tests, does at the end of one."""
    act(*arguments)
    os._exit(0)


LENIENT = """
gate:
  macro_f1_floor: 0.0
  recall_floor: 0.0
  ece_ceiling: 1.0
  latency_ms_ceiling: 10000
  slice_gap: 1.0
  behaviour: {flip: 0.0, light: 0.0, rotation: 0.0, jpeg: 0.0}
  champion: {min_gain: -1.0, tolerated_loss: 1.0, new_data_loss: 1.0}
"""


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No FERLINE_* from outside, and every home folder inside the test's own."""
    for name in [name for name in os.environ if name.startswith("FERLINE_") and name not in KEPT]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FERLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))


@pytest.fixture(scope="session")
def lenient_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy folder whose gate lets any model pass: what a tiny model scores is not what is tested."""
    folder = tmp_path_factory.mktemp("policy")
    shutil.copy(REPOSITORY / "infra" / "policy" / "validation.yaml", folder)
    drift = (REPOSITORY / "infra" / "policy" / "drift.yaml").read_text()
    (folder / "drift.yaml").write_text(drift.replace("false_alarm: 0.02 ", "false_alarm: 0.002 "))  # no test by chance
    (folder / "gate.yaml").write_text(LENIENT)
    return folder


@pytest.fixture(scope="session")
def outside() -> dict[str, str]:
    """The environment without what would lead a child process to somebody's real home or server."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("FERLINE_", "PREFECT_", "MLFLOW_"))}


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """700 synthetic faces as a dataset version."""
    from components.ingest import IngestOptions, ingest

    ingested = ingest("synthetic:images=700,seed=7", tmp_path_factory.mktemp("tiny"), IngestOptions())
    return open_dataset(ingested.folder)


@pytest.fixture(scope="session")
def fer2013(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real FER-2013 as a folder or archive; skips where there is none."""
    named = os.environ.get("FERLINE_FER2013")
    found = Path(named) if named else REPOSITORY.parent / "shared" / "data" / "fer2013.tar.xz"
    if not found.exists():
        pytest.skip("FER-2013 is not here: name its folder or archive in FERLINE_FER2013")
    return found


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a nanio server with an empty bucket `faces`."""
    root = tmp_path_factory.mktemp("s3")
    (root / "faces").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(Path(sys.executable).parent / "nanio"), "serve", "--data-dir", str(root), "--host", "127.0.0.1",
        "--port", str(port), "--no-access-log",
    ]  # fmt: skip
    keys = {**os.environ, "NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET}
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=keys)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def s3(s3_endpoint: str, tmp_path: Path) -> S3Store:
    """A store below a prefix of its own."""
    return S3Store(f"s3://faces/{tmp_path.name}", s3_endpoint, KEY, SECRET, "us-east-1")


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store of either kind."""
    if request.param == "local":
        return LocalStore(tmp_path / "store")
    found: Store = request.getfixturevalue("s3")
    return found
