"""Shared by all tests: a clean environment, a gate that lets anything pass, one tiny dataset."""

import os
import shutil
from pathlib import Path

import pytest

from components.dataset import Dataset, open_dataset

REPOSITORY = Path(__file__).parents[1]
KEPT = ("FERLINE_FER2013", "FERLINE_TEST_MODEL")  # what a person names for the tests themselves
LENIENT = """
gate:
  macro_f1_floor: 0.0
  recall_floor: 0.0
  ece_ceiling: 1.0
  latency_ms_ceiling: 10000
  slice_gap: 1.0
  behaviour: {flip: 0.0, light: 0.0, rotation: 0.0, jpeg: 0.0}
  champion: {min_gain: -1.0, tolerated_loss: 1.0}
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
