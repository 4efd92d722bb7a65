"""docker-compose.yml read as programs for this machine: the services that are built from this repository.

The file is the one place for commands, ports and environment. Inside a container a service is found by its name and
keeps its state in /data; here its name becomes the loopback address with the published port, and /data the home.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dotenv.variables import parse_variables

from components.settings import REPOSITORY

FILE = REPOSITORY / "docker-compose.yml"
ARTIFACTS = "MLFLOW_ARTIFACTS_DESTINATION"
EMBEDDED = {
    "FERLINE_STORE": "{home}/store",
    "MLFLOW_BACKEND_STORE_URI": "sqlite:///{home}/mlflow.db",
    ARTIFACTS: "{home}/mlflow-artifacts",
}
"""Instead of PostgreSQL and S3, which do not run here unless `elsewhere` says where: what `make run` uses too."""
ONLY_FOR_S3 = ("FERLINE_S3_", "AWS_")
ONLY_IN_CONTAINERS = ("OMP_NUM_THREADS",)
"""What goes with a container's limit of processors: processes of this machine may take them all."""
PATHS = ("FERLINE_SERVE_KEYS", "FERLINE_POLICY")
"""Settings that name a file or folder: a program that starts in a folder of its own must find the same one."""


@dataclass(frozen=True)
class Program:
    """A service as a process of this machine."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int | None
    """Where it answers; None for one that serves nothing."""
    health: str | None
    """Address that answers 200 once it is up."""
    once: bool
    """Whether it does its work and ends."""


@dataclass(frozen=True)
class Places:
    """What the names of the file stand for on this machine."""

    home: Path
    addresses: Mapping[str, str]
    """`service:port` inside the file's network -> host:port."""
    missing: frozenset[str]
    """Services that nobody runs."""

    def translate(self, text: str) -> str:
        """A value with addresses and folders of this machine."""
        names = "|".join(map(re.escape, self.addresses))
        text = re.sub(rf"(?<=[/@])({names})\b", lambda found: self.addresses[found[1]], text)
        return re.sub(r"(^|(?<=[:/]))/data\b", str(self.home), text.replace("0.0.0.0", "127.0.0.1"))

    def needs_missing(self, text: str) -> bool:
        """Whether a value names a service that nobody runs."""
        return any(re.search(rf"[/@]{name}:\d", text) for name in self.missing)


def read_programs(
    home: Path,
    environment: Mapping[str, str],
    elsewhere: Mapping[str, str] | None = None,
    file: Path = FILE,
) -> list[Program]:
    """Every program of the file, in its order; those of profiles left out.

    environment: the file's variables (ports, passwords). elsewhere: `service:port` -> host:port of servers that run
    already, such as {"postgres:5432": "127.0.0.1:5433"}; without one the programs keep their state below the home.
    """
    services: dict[str, Any] = _resolve(yaml.safe_load(file.read_text())["services"], environment)
    ours = {name: service for name, service in services.items() if "build" in service and "profiles" not in service}
    elsewhere = elsewhere or {}
    addresses = {f"{host}:{_inner(service)}": f"127.0.0.1:{_outer(service)}"
                 for name, service in ours.items() if "ports" in service for host in (name, "127.0.0.1")}  # fmt: skip
    running = set(ours) | {address.partition(":")[0] for address in elsewhere}
    places = Places(home, {**addresses, **elsewhere}, frozenset(set(services) - running))
    return [_program(name, service, places) for name, service in ours.items()]


def absolute_paths(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of PATHS that are set, from where `ferline stack up` was started."""
    return {name: str(Path(variables[name]).absolute()) for name in PATHS if variables.get(name)}


def _program(name: str, service: Mapping[str, Any], places: Places) -> Program:
    inner, outer = (_inner(service), _outer(service)) if "ports" in service else (None, None)
    command = [places.translate(part) for part in service["command"]]
    if inner:
        command = [str(outer) if part == inner else part for part in command]
    check = service.get("healthcheck", {}).get("test", [None])[-1]
    return Program(
        name,
        tuple(command),
        _environment(service["environment"], places),
        outer,
        check.replace(f":{inner}/", f":{outer}/") if check else None,
        service.get("restart") == "on-failure",
    )


def _environment(given: Mapping[str, str], places: Places) -> dict[str, str]:
    without_s3 = "s3" in places.missing
    kept: dict[str, str] = {}
    for key, value in given.items():
        if key in ONLY_IN_CONTAINERS:
            continue
        lost = places.needs_missing(value) or (without_s3 and value.startswith("s3://"))
        if lost and key in EMBEDDED:
            kept[key] = EMBEDDED[key].format(home=places.home)
        elif not lost and not (without_s3 and key.startswith(ONLY_FOR_S3)):
            kept[key] = places.translate(value)
    if without_s3 and ARTIFACTS in kept:
        # By their path, as `make run` names them: it opens the same database without a server, and the server's own
        # addresses (mlflow-artifacts:/) mean nothing there.
        kept["MLFLOW_DEFAULT_ARTIFACT_ROOT"] = Path(kept[ARTIFACTS]).as_uri()
    return kept


def _inner(service: Mapping[str, Any]) -> str:
    """The port inside the network."""
    return str(service["ports"][0]).rpartition(":")[2]


def _outer(service: Mapping[str, Any]) -> int:
    """The port on this machine."""
    return int(str(service["ports"][0]).split(":")[-2])


def _resolve(value: Any, environment: Mapping[str, str]) -> Any:
    """`${NAME:-default}` replaced, all the way down."""
    if isinstance(value, dict):
        return {key: _resolve(each, environment) for key, each in value.items()}
    if isinstance(value, list):
        return [_resolve(each, environment) for each in value]
    if not isinstance(value, str):
        return value
    return "".join(atom.resolve(environment) for atom in parse_variables(value))
