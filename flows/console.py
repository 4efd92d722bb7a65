"""How the command line speaks: errors as words and exit codes, one JSON document on request, progress on a terminal."""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from typer.core import TyperGroup

from components import errors

EXIT_CODES: tuple[tuple[type[errors.FerlineError], int, str], ...] = (
    (errors.ValidationFailed, 3, "a blocking expectation failed"),
    (errors.GateError, 4, "the gate refuses a promotion, or a second look at PrivateTest"),
    (errors.ModelNotFound, 5, "no such model, version, alias or weights"),
    (errors.PredictionNotFound, 5, "no such prediction is on record"),
    (errors.StoreError, 6, "the store, or something in it, cannot be reached"),
    (errors.RegistryError, 7, "the registry refuses, or a model fails its own check"),
    (errors.TrainingError, 8, "training ended without a usable model"),
    (errors.DataError, 2, "bad input: source, dataset, recipe or option"),
    (errors.RecipeError, 2, "bad input: source, dataset, recipe or option"),
    (errors.BackupError, 2, "a backup is not whole, or something is in its place"),
    (errors.ClusterError, 2, "no Ray cluster answers, or it is too small"),
    (errors.SettingsError, 2, "a setting, or this machine, does not allow it"),
    (errors.FerlineError, 1, "any other error ferline explains"),
)
REJECTED = 4
"""Exit code of a run whose challenger the gate rejected, and of a refused promotion."""

console = Console()


def say(line: str, to: Console = console) -> None:
    """A line as it is: no markup is read in it, and a long path is not broken."""
    to.print(line, markup=False, highlight=False, soft_wrap=True)


def exit_code(error: errors.FerlineError) -> int:
    """What the shell sees of an error."""
    return next(code for kind, code, _ in EXIT_CODES if isinstance(error, kind))


class Edge(TyperGroup):
    """Renders domain errors: one message on standard error, or one JSON document with --json."""

    def invoke(self, ctx: Any) -> Any:  # Typer's own Context, which it does not export
        try:
            return super().invoke(ctx)
        except errors.FerlineError as error:
            if "--json" in sys.argv:
                emit({"error": {"type": type(error).__name__, "message": str(error)}})
            else:
                typer.echo(f"error: {error}", err=True)
            ctx.exit(exit_code(error))
        except OSError as error:  # a full disk, a folder that cannot be written
            if "--json" in sys.argv:
                emit({"error": {"type": type(error).__name__, "message": str(error)}})
            else:
                typer.echo(f"error: {error}. Mend it, or name another place: `ferline where` lists them.", err=True)
            ctx.exit(1)


def emit(document: object) -> None:
    """The one JSON document of a command, on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, default=_plain) + "\n")


def _plain(value: object) -> object:
    """A record as its fields, at whatever depth; anything else json does not know as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


@contextlib.contextmanager
def quiet_stdout(wanted: bool) -> Iterator[None]:
    """With --json, whatever libraries print goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext():
        yield


Report = Callable[[str, int, int], None]
"""A stage's name, how much of it is done, and how much there is."""


@contextlib.contextmanager
def progress() -> Iterator[Report]:
    """Bars on a terminal, plain lines at every tenth without one; both on standard error."""
    if not sys.stderr.isatty():
        yield _plain_lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def _plain_lines() -> Report:
    said: dict[str, int] = {}

    def report(stage: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if said.get(stage) != tenth:
            said[stage] = tenth
            typer.echo(f"{stage}: {done} of {total}", err=True)

    return report
