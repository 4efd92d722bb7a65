"""`ferline log ...`"""

from typing import Annotated

import typer

from flows.console import console, emit, quiet_stdout

log_app = typer.Typer(help="The prediction log: look up, remove, bring to the store.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="As the answer named it.")]


@log_app.command(epilog="Example: ferline log show 01a213a2fa4b773b8a61e5acb6f32df0")
def show(id: Id, as_json: Json = False) -> None:
    """What was answered under an id, by each model, and its label."""
    from flows.context import journal

    with quiet_stdout(as_json):
        found = journal().show(id)
    if as_json:
        emit(found)
        return
    for row in found:
        for name, value in row.items():
            console.print(f"{name:14} {value}", highlight=False, soft_wrap=True)


@log_app.command(epilog="Example: ferline log delete 01a213a2fa4b773b8a61e5acb6f32df0")
def delete(id: Id, as_json: Json = False) -> None:
    """Remove a prediction, its label and its picture for good."""
    from flows.context import journal

    with quiet_stdout(as_json):
        rows = journal().delete(id)
    emit({"id": id, "deleted": rows}) if as_json else console.print(f"{rows} record(s) removed", highlight=False)


@log_app.command(epilog="Example: ferline log ship")
def ship(as_json: Json = False) -> None:
    """Bring what waits on this machine to the store now; a running service does so by itself."""
    from flows.context import journal

    with quiet_stdout(as_json):
        shipped = journal().bring()
    emit({"shipped": shipped}) if as_json else console.print(f"{shipped} predictions brought to the store")


@log_app.command(epilog="Example: ferline log prune")
def prune(as_json: Json = False) -> None:
    """Remove days older than FERLINE_LOG_DAYS; a running service does so every hour."""
    from flows.context import journal

    with quiet_stdout(as_json):
        gone = journal().prune()
    emit({"removed": gone}) if as_json else console.print(f"{len(gone)} files removed", highlight=False)
