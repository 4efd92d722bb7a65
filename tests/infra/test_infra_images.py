"""What an image's Dockerfile installs is enough for the modules that run in it."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
IMPORT = """
import importlib, json, sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in missing else super().find_spec(name, path, target)

missing, modules = json.loads(sys.argv[1])
sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
for module in modules:
    importlib.import_module(module)
"""


def dockerfile(name: str) -> str:
    return (REPOSITORY / "infra" / "images" / f"{name}.Dockerfile").read_text()


def installed_by(name: str) -> list[str]:
    """The requirements that a Dockerfile gives to pip."""
    text = dockerfile(name)
    if extras := re.search(r"-e '\.\[([\w,]+)\]'", text):
        optional = PYPROJECT["project"]["optional-dependencies"]
        return [
            *PYPROJECT["project"]["dependencies"],
            *(line for extra in extras[1].split(",") for line in optional[extra]),
        ]
    if "-r packages.txt" in text:
        packages: list[str] = PYPROJECT["tool"]["bentoml"]["build"]["python"]["packages"]
        return packages
    return re.findall(r"pip install -c requirements.lock (.+)", text)[0].split()


@cache
def needs(distribution: str, extra: str) -> tuple[Requirement, ...]:
    try:
        lines = requires(distribution) or []
    except PackageNotFoundError:  # for another system
        return ()
    found = map(Requirement, lines)
    return tuple(each for each in found if each.marker is None or each.marker.evaluate({"extra": extra}))


def closure(requirements: Iterable[str]) -> set[str]:
    """Names of all distributions that pip brings for them."""
    waiting, seen = list(map(Requirement, requirements)), set()
    while waiting:
        each = waiting.pop()
        for extra in ("", *each.extras):
            key = (canonicalize_name(each.name), extra)
            if key not in seen:
                seen.add(key)
                waiting += needs(*key)
    return {name for name, _ in seen}


def entry_points() -> set[str]:
    """Modules of the flows that infra/prefect.yaml deploys."""
    deployments = yaml.safe_load((REPOSITORY / "infra" / "prefect.yaml").read_text())["deployments"]
    return {each["entrypoint"].rpartition(".")[0] for each in deployments}


def modules(package: str) -> list[str]:
    return sorted(f"{package}.{file.stem}" for file in (REPOSITORY / package).glob("[!_]*.py"))


RUNS = {
    "flows": [*sorted(entry_points()), *modules("flows"), "flows.stack.prepare", "serving.access", "psycopg2"],
    "serving": modules("serving"),
    "monitoring": [
        "prefect.server.api.server", "asyncpg", "mlflow.server.auth", "psycopg2", "boto3", "evidently.cli",
        "evidently.ui.service.app",
    ],
}  # fmt: skip
"""What each image runs: the three servers' own modules and database drivers, and every module of ours."""


@pytest.mark.parametrize("image", list(RUNS))
def test_an_image_has_what_its_modules_import(image: str, outside: dict[str, str], tmp_path: Path) -> None:
    there = closure(installed_by(image))
    missing = [module for module, owners in packages_distributions().items()
               if module not in ("flows", "components", "serving")
               and not any(canonicalize_name(owner) in there for owner in owners)]  # fmt: skip
    assert {"pytest", "hypothesis"} <= set(missing)
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, json.dumps([missing, RUNS[image]])], capture_output=True, text=True, timeout=250,
        cwd=tmp_path, env={**outside, "PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
