"""Programs under supervisord: started together, started again when they die, stopped together."""

import configparser
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx

from components.errors import SettingsError
from flows.stack.compose import Program

STOP_SECONDS = 30


def write_config(programs: Iterable[Program], folder: Path) -> Path:
    """supervisord's file, without a secret in it: programs inherit their environment; its path."""
    config = configparser.RawConfigParser()
    config["supervisord"] = {
        "nodaemon": "true", "logfile": str(folder / "supervisord.log"), "pidfile": str(folder / "supervisord.pid"),
        "childlogdir": str(folder), "loglevel": "info", "silent": "true",
    }  # fmt: skip
    config["unix_http_server"] = {"file": str(folder / "control.sock"), "chmod": "0700"}
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    config["supervisorctl"] = {"serverurl": f"unix://{folder / 'control.sock'}"}
    for program in programs:
        config[f"program:{program.name}"] = _section(program, folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "supervisord.conf"
    with path.open("w") as stream:
        config.write(stream)
    return path


def _section(program: Program, folder: Path) -> dict[str, str]:
    command = (_executable(program.command[0]), *program.command[1:])
    return {
        "command": _escaped(" ".join(_quoted(part) for part in command)),
        "directory": _escaped(str(folder)),
        "stdout_logfile": _escaped(str(folder / f"{program.name}.log")),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "3",
        "redirect_stderr": "true",
        "autorestart": "unexpected" if program.once else "true",
        "exitcodes": "0",
        "startsecs": "0" if program.once else "3",
        "startretries": "10",
        "stopasgroup": "true",
        "killasgroup": "true",
        "stopwaitsecs": str(STOP_SECONDS),
    }


def _executable(name: str) -> str:
    """The program of this environment; raises SettingsError where it is not installed."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if not found:
        raise SettingsError(f"{name} is not installed here: `make setup` installs all parts.")
    return found


def _quoted(part: str) -> str:
    return f'"{part}"' if " " in part else part


def _escaped(text: str) -> str:
    """supervisord reads % as the start of a format."""
    return text.replace("%", "%%")


def check_ports(programs: Iterable[Program]) -> None:
    """Raises SettingsError where somebody else listens already."""
    for program in programs:
        if program.port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", program.port))
            except OSError as error:
                raise SettingsError(
                    f"port {program.port} of {program.name} is taken: stop what listens there, or set "
                    f"{program.name.upper()}_PORT."
                ) from error


def start(config: Path, programs: Iterable[Program], outside: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """supervisord with these programs; it stops them all when it is interrupted or terminated."""
    own: dict[str, str] = {}
    for program in programs:
        for key, value in program.environment.items():
            if own.setdefault(key, value) != value:
                raise SettingsError(f"{key} differs between services, and processes of one machine share it.")
    return subprocess.Popen([_executable("supervisord"), "--configuration", str(config)], env={**outside, **own})


def answers(url: str) -> bool:
    """Whether something answers there with 200."""
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
