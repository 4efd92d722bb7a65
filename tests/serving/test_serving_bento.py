"""`bentoml build` packs what serving needs and nothing else, and the pack serves."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a freshly built bento."""
    home = tmp_path_factory.mktemp("bento")
    command = [str(Path(sys.executable).parent / "bentoml"), "build", "--output", "tag", "--version", "test"]
    environment = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true"}
    built = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return home / "bentos" / "ferline" / "test"


def test_a_bento_holds_the_service_and_no_orchestration(bento: Path) -> None:
    source = bento / "src"
    assert (source / "serving" / "page.html").exists()
    assert (source / "components" / "journal" / "spool.py").exists()
    assert not (source / "flows").exists()
    assert not (source / "tests").exists()
    told = yaml.safe_load((bento / "bento.yaml").read_text())
    assert {api["name"] for api in told["schema"]["routes"]} == {"predict", "explain"}
    size = sum(path.stat().st_size for path in bento.rglob("*") if path.is_file())
    assert size < 5e6


def test_its_packages_are_those_of_the_project_without_torch() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    packed = project["tool"]["bentoml"]["build"]["python"]["packages"]
    known = {*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["serving"]}
    assert set(packed) <= known
    assert not any(name.startswith(("torch", "transformers", "prefect", "great")) for name in packed)


def test_a_bento_serves_the_champion(
    bento: Path, tmp_path: Path, packages, open_shelf, start, png, tiny_dataset
) -> None:
    open_shelf(tmp_path / "home").promote(packages["first"])
    with (bento / "src" / "serving" / "page.html").open("a") as page:
        page.write("<!-- from the bento -->")
    with start(tmp_path, service=str(bento), PYTHONPATH=str(tmp_path / "blocked")) as service:
        answer = service.post("/predict", content=png(tiny_dataset.images[-1]))
        assert answer.status_code == 200
        assert "from the bento" in service.get("/").text  # not from the clone that is installed here
        assert service.get("/docs.json").status_code == 200
        assert service.get("/samples").status_code == 200
