"""`ferline keys ...`"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.errors import DataError
from flows.console import console, emit

if TYPE_CHECKING:
    from serving.access import Keys

keys_app = typer.Typer(help="API keys of the service: make, list, take back.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]
Name = Annotated[str, typer.Argument(help="Whose key it is.")]
File = Annotated[Path | None, typer.Option(help="File of keys; FERLINE_SERVE_KEYS by default.")]


@keys_app.command(epilog="Example: ferline keys add anna --per-minute 600")
def add(
    name: Name,
    per_minute: Annotated[int, typer.Option(min=1, help="Most requests in a minute, for each worker.")] = 600,
    file: File = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once; the file keeps its hash."""
    token = _keys(file).add(name, per_minute)
    emit({"name": name, "key": token}) if as_json else typer.echo(token)


@keys_app.command("list", epilog="Example: ferline keys list")
def list_keys(file: File = None, as_json: Json = False) -> None:
    """Who has a key, and its rate."""
    known = [{"name": key.name, "per_minute": key.per_minute} for key in _keys(file).all()]
    if as_json:
        emit(known)
        return
    for key in known:
        console.print(f"{key['name']:20} {key['per_minute']} a minute", highlight=False)


@keys_app.command(epilog="Example: ferline keys remove anna")
def remove(name: Name, file: File = None) -> None:
    """Take a key back; running services refuse it at once."""
    _keys(file).remove(name)
    console.print(f"{name} has no key any more", highlight=False)


def _keys(file: Path | None) -> "Keys":
    from flows.context import settings
    from serving.access import Keys

    found = file or settings().serve_keys
    if found is None:
        raise DataError("no file of keys is named: set FERLINE_SERVE_KEYS, for the service too, or give --file.")
    return Keys(found.expanduser())
