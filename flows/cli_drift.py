"""`ferline drift ...`"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.console import console, emit, progress, quiet_stdout

drift_app = typer.Typer(help="What the service sees against what its model was judged on.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]


@drift_app.command(epilog="Example: ferline drift monitor --since 2026-11-24T00:00+00:00 --last 5000")
def monitor(
    since: Annotated[str, typer.Option(help="Begin, ISO 8601; empty: where the last window ended.")] = "",
    until: Annotated[str, typer.Option(help="End, not included; empty: now.")] = "",
    last: Annotated[int, typer.Option(min=0, help="Only the newest so many predictions; 0 for all.")] = 0,
    as_json: Json = False,
) -> None:
    """Look at a window of the prediction log; exit code 0 whatever it finds."""
    from flows.local import run_monitor
    from flows.parameters import WindowParameters

    with quiet_stdout(as_json):
        outcome = run_monitor(WindowParameters(since, until, last))
    if as_json:
        emit(outcome)
        return
    console.print(f"[bold]{outcome.sight}[/bold] {outcome.message}", highlight=False, soft_wrap=True)
    if outcome.report:
        console.print(f"report  {outcome.report}", highlight=False, soft_wrap=True)


@drift_app.command(epilog="Example: ferline drift retrain --reason 'new cameras'")
def retrain(
    reason: Annotated[str, typer.Option(help="Goes on record.")] = "by hand",
    at_once: Annotated[bool, typer.Option("--at-once", help="Do not ask for cool-down and daily cap.")] = False,
    promote: Annotated[bool, typer.Option(help="Let a passing challenger become champion.")] = True,
    as_json: Json = False,
) -> None:
    """Train the champion's recipe again, with what people have labelled since."""
    from flows.local import run_retrain
    from flows.parameters import RetrainParameters

    with quiet_stdout(as_json):
        outcome = run_retrain(RetrainParameters(reason, "", at_once, promote))
    if as_json:
        emit(outcome)
        return
    console.print(f"[bold]{outcome.ending}[/bold] {outcome.message}", highlight=False, soft_wrap=True)


@drift_app.command(epilog="Example: ferline drift automate")
def automate(as_json: Json = False) -> None:
    """Make, or renew, the automations on the server of PREFECT_API_URL: retrain on drift, crash dead runs."""
    if "PREFECT_API_URL" not in os.environ:
        raise typer.BadParameter("automations live on a server: set PREFECT_API_URL.", param_hint="PREFECT_API_URL")
    from flows.automations import make_automations

    with quiet_stdout(as_json):
        names = make_automations()
    if as_json:
        emit(names)
        return
    for name in names:
        console.print(name, highlight=False)


@drift_app.command(epilog="Example: ferline drift demo --days 12 --faces 600")
def demo(
    days: Annotated[int, typer.Option(min=3, help="Simulated days; a third of them without a shift.")] = 12,
    faces: Annotated[int, typer.Option(min=500, help="Faces a day.")] = 600,
    as_json: Json = False,
) -> None:
    """Simulate traffic that drifts, and look at it day by day."""
    from flows.demo import run_demo

    with quiet_stdout(as_json), progress() as report:
        seen, workspace = run_demo(days, faces, report)
    if as_json:
        emit({"days": seen, "workspace": str(workspace)})
        return
    for day in seen:
        figure = "" if day.accuracy is None else f"accuracy {day.accuracy:.0%}"
        console.print(
            f"{day.day}  shift {day.shift:4.0%}  {day.sight:8} {figure:13} {', '.join(day.checks)}", highlight=False,
            soft_wrap=True,
        )  # fmt: skip
    if seen[0].sight in ("Drifted", "Alarm"):
        console.print(
            "The first day has no shift and drifts all the same: this champion did not learn from drawn faces. "
            "`make run` trains one that did.",
            soft_wrap=True,
        )


@drift_app.command(epilog="Example: ferline drift dashboard --demo --port 8000")
def dashboard(
    demo: Annotated[bool, typer.Option("--demo", help="That of `ferline drift demo`.")] = False,
    port: Annotated[int, typer.Option(help="On 127.0.0.1.")] = 8000,
) -> None:
    """Serve the drift dashboard until interrupted."""
    from flows.context import settings

    s = settings()
    workspace = s.root / "demo" / "evidently" if demo else s.workspace
    if not workspace.is_dir():
        made = "ferline drift demo" if demo else "ferline drift monitor"
        raise typer.BadParameter(f"{workspace} is not there yet: `{made}` makes it.", param_hint="--demo")
    program = Path(sys.executable).parent / "evidently"
    console.print(f"http://127.0.0.1:{port}  (Ctrl-C ends it)", highlight=False)
    arguments = ["ui", "--workspace", str(workspace), "--host", "127.0.0.1", "--port", str(port)]
    os.execve(program, [str(program), *arguments], os.environ | {"DO_NOT_TRACK": "1"})
