"""A real S3 server over HTTP."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.store import S3Store

KEY, SECRET = "ferline-test", "ferline-test-secret"


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
