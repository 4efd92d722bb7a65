"""`ferline backup`, `restore`, `upgrade`, `doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from flows.console import console, emit, quiet_stdout

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]
History = Annotated[bool, typer.Option(help="With Prefect's database: runs, schedules, automations.")]
COLOURS = {"good": "green", "warning": "yellow", "bad": "red"}


def backup(
    folder: Annotated[Path, typer.Argument(help="New or empty folder.")],
    prefect: History = True,
) -> None:
    """Databases, store, MLflow's artifacts, the drift workspace and what waits to be logged, in one folder."""
    from components import backup as backups
    from flows.site import site

    backups.backup(site(prefect), folder.expanduser(), _tell)


def restore(
    folder: Annotated[Path, typer.Argument(help="What `ferline backup` wrote.")],
    prefect: History = True,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there under the same name.")] = False,
) -> None:
    """Bring a backup back. Stop servers, workers and the service first; a damaged backup changes nothing."""
    from components import backup as backups
    from flows.context import journal
    from flows.site import site

    backups.restore(site(prefect), folder.expanduser(), _tell, force)
    again = journal().delete_again()
    if again:
        _tell(f"deleted again, as before the restore: {len(again)} predictions")


def upgrade() -> None:
    """After a new version: bring the databases of Prefect and MLflow to its tables. Make a backup first."""
    from flows.site import upgrade_databases

    for name in upgrade_databases():
        _tell(f"database {name} is up to date")
    _tell("ferline's own records need nothing: each carries its version, and older ones are read as they are")


def doctor(as_json: Json = False) -> None:
    """What is configured, whether it answers and can be written, and what to do; exit code 1 where something is bad."""
    from flows.doctor import examine

    with quiet_stdout(as_json):
        findings = examine()
    if as_json:
        emit([vars(finding) for finding in findings])
    else:
        for f in findings:
            console.print(
                f"[{COLOURS[f.state]}]{f.state:8}[/] [bold]{f.what:15}[/bold] {f.found}",
                highlight=False,
                soft_wrap=True,
            )
            if f.remedy:
                console.print(f"{'':25}-> {f.remedy}", highlight=False, soft_wrap=True)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)


def _tell(line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)
