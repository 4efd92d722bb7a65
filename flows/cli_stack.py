"""`ferline stack ...`"""

import os
import signal
import time
from typing import TYPE_CHECKING, Annotated

import typer
from dotenv import dotenv_values

from components.settings import REPOSITORY
from flows.console import console

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.stack.compose import Program

stack_app = typer.Typer(help="All services together, without containers.", no_args_is_help=True)

SHOWN = {
    "prefect": "runs, schedules, automations",
    "mlflow": "experiments and the model registry",
    "service": "the model's page and its HTTP endpoint",
    "dashboard": "drift over time",
}


@stack_app.command(epilog="Example: ferline stack up")
def up() -> None:
    """Start every service of docker-compose.yml as a process of this machine; Ctrl-C stops them all."""
    from flows.context import settings
    from flows.stack.compose import absolute_paths, read_programs
    from flows.stack.supervise import check_ports, start, write_config

    variables = {k: v for k, v in {**dotenv_values(REPOSITORY / ".env"), **os.environ}.items() if v is not None}
    home = settings().root
    paths = absolute_paths(variables)
    programs = read_programs(home, {**variables, **paths})
    check_ports(programs)
    process = start(write_config(programs, home / "stack"), programs, {**os.environ, **paths})
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal stops them too
        signal.signal(number, signal.default_int_handler)
    try:
        _show(programs, process.poll)
        console.print(f"logs       {home / 'stack'}; Ctrl-C stops them all", highlight=False, soft_wrap=True)
        process.wait()
    except KeyboardInterrupt:
        console.print("stopping ...")
    finally:
        process.terminate()
        process.wait()
    raise typer.Exit(process.returncode)


@stack_app.command(epilog="Example: ferline stack setup --bucket mlflow")
def setup(
    bucket: Annotated[list[str] | None, typer.Option(help="Bucket to make beside the store's own; repeats.")] = None,
) -> None:
    """Make buckets, work pool, deployments and automations; what is there stays as it is."""
    from flows.stack.prepare import prepare

    if "PREFECT_API_URL" not in os.environ:
        raise typer.BadParameter("deployments live on a server: set PREFECT_API_URL.", param_hint="PREFECT_API_URL")
    prepare(bucket or [], lambda line: console.print(line, highlight=False))


def _show(programs: "Sequence[Program]", ended: "Callable[[], int | None]") -> None:
    """The page of addresses, a line for each as soon as it answers."""
    from flows.stack.supervise import answers

    waiting = [program for program in programs if program.port]
    while waiting and ended() is None:
        for program in list(waiting):
            if answers(program.health or ""):
                waiting.remove(program)
                console.print(
                    f"[bold]{program.name:10}[/bold] http://127.0.0.1:{program.port}  {SHOWN[program.name]}",
                    highlight=False,
                )
        time.sleep(0.5)
