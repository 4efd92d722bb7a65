"""A really trained small champion, and the service that answers with it over HTTP."""

import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from components.dataset import Dataset
from components.evaluation.evaluate import evaluate
from components.journal import Journal, Logbook
from components.labels import PUBLIC_TEST
from components.registry import ModelPackage, Registry, build_package, promote, register
from components.store import Store, open_store
from components.training.recipes import load_preset, override, tiny
from components.training.train import Job, train

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Shelf:
    """A registry with its store, as a home folder holds them."""

    home: Path

    @property
    def registry(self) -> Registry:
        return Registry(f"sqlite:///{self.home / 'mlflow.db'}", self.home / "mlflow-artifacts", "ferline-fer")

    @property
    def store(self) -> Store:
        return open_store(str(self.home / "store"))

    def promote(self, package: ModelPackage) -> str:
        """Register a package and make it champion by hand; its version."""
        locks = self.home / "locks"
        version = register(self.registry, self.store, package, who="tests", lock_folder=locks).version
        promote(
            self.registry, self.store, version=version, decision=None, decision_uri=None, who="tests",
            lock_folder=locks, force=True, reason="tests",
        )  # fmt: skip
        return version


@dataclass(frozen=True)
class Service:
    """A running server."""

    url: str
    home: Path
    log: Path

    def post(self, path: str, **request: object) -> httpx.Response:
        return httpx.post(self.url + path, timeout=60, **request)  # type: ignore[arg-type]

    def get(self, path: str, **request: object) -> httpx.Response:
        return httpx.get(self.url + path, timeout=60, **request)  # type: ignore[arg-type]

    @property
    def journal(self) -> Journal:
        """What this server has written down."""
        return Journal(self.home / "predictions", Logbook(open_store(str(self.home / "store"))), 30)


def make_package(dataset: Dataset, root: Path, preset: str, *sets: str) -> ModelPackage:
    """Trained, evaluated and packed."""
    recipe = override(tiny(load_preset(preset)), ["epochs=2", *sets])
    summary = train(Job(preset, recipe, dataset.root, root / "run"), lambda _: None)
    evaluate(root / "run" / "model.onnx", dataset, PUBLIC_TEST, root / "evaluation", preset, summary.temperature)
    return build_package(root / "run", root / "evaluation", dataset, root / "package")


@pytest.fixture(scope="session")
def packages(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelPackage]:
    """Two transformers and a network without attention."""
    root = tmp_path_factory.mktemp("packages")
    wanted = {"first": ("quick",), "second": ("quick", "seed=1"), "cnn": ("quick-resnet18",)}
    return {name: make_package(tiny_dataset, root / name, *what) for name, what in wanted.items()}


@pytest.fixture(scope="session")
def served(packages: dict[str, ModelPackage], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service as a person starts it, torch and transformers out of its reach."""
    root = tmp_path_factory.mktemp("served")
    Shelf(root / "home").promote(packages["first"])
    with Started(root) as service:
        yield service


class Started:
    """Context: a server in a process of its own, ready to answer."""

    def __init__(self, root: Path, service: str = "serving.service:FaceService", **environment: str) -> None:
        self.root, self.service, self.environment = root, service, environment

    def __enter__(self) -> Service:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        blocked = self.root / "blocked"
        for name in ("torch", "transformers", "torchvision", "prefect"):
            (blocked / name).mkdir(parents=True, exist_ok=True)
            (blocked / name / "__init__.py").write_text(f"raise ImportError('{name} is not for serving')")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FERLINE_", "MLFLOW_"))}
        environment = {
            **kept, "FERLINE_HOME": str(self.root / "home"), "BENTOML_HOME": str(self.root / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "true", "FERLINE_SERVE_POLL_SECONDS": "0.3", "FERLINE_SERVE_BODY_MB": "2",
            "FERLINE_SERVE_BATCH": "8", "FERLINE_LOG_SECONDS": "0.2",
            "PYTHONPATH": f"{blocked}:{REPOSITORY}", **self.environment,
        }  # fmt: skip
        log = self.root / "serve.log"
        command = [str(Path(sys.executable).parent / "bentoml"), "serve", self.service]
        self.process = subprocess.Popen(
            [*command, "--port", str(port)], env=environment, cwd=REPOSITORY, stdout=log.open("w"),
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        service = Service(f"http://127.0.0.1:{port}", self.root / "home", log)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if service.get("/livez").status_code == 200:
                    return service
            except httpx.TransportError:
                time.sleep(0.2)
        self.__exit__()
        raise TimeoutError(log.read_text()[-3000:])

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)


@pytest.fixture(scope="session")
def start() -> type[Started]:
    return Started


@pytest.fixture(scope="session")
def open_shelf() -> type[Shelf]:
    return Shelf


@pytest.fixture(scope="session")
def png() -> Callable[[np.ndarray], bytes]:
    """uint8 [H, W] -> the bytes of a PNG."""

    def encode(image: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        return buffer.getvalue()

    return encode
