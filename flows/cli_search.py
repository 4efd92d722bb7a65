"""`ferline search`."""

from typing import Annotated, Literal

import typer
from rich.table import Table

from flows.console import console, emit, quiet_stdout


def search(
    source: Annotated[str, typer.Option(help="synthetic, a CSV, an image folder or an archive.")] = "synthetic",
    preset: Annotated[str, typer.Option(help="Where the search starts.")] = "quick",
    space: Annotated[
        list[str] | None,
        typer.Option(help="Dimension: key=low..high, key=low..high:log or key=a|b; repeats. Default: the paper's."),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials; a search that had fewer goes on.")] = 20,
    assignments: Annotated[list[str] | None, typer.Option("--set", help="Recipe override for all trials.")] = None,
    tiny: Annotated[bool, typer.Option("--tiny", help="Shrink every recipe to seconds.")] = False,
    prune: Annotated[bool, typer.Option(help="Stop trials that do worse than half of the others.")] = True,
    seed: Annotated[int, typer.Option(help="Of the choices.")] = 0,
    backend: Annotated[Literal["local", "ray"], typer.Option(help="One by one here, or with Ray Tune.")] = "local",
    workers: Annotated[int, typer.Option(min=1, help="ray: trials at the same time.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Try recipes, chosen by what the ones before came to on PublicTest; the best is written as a preset."""
    from components.ingest import check_source
    from components.search.records import PAPER, parse_space
    from components.training.recipes import compose
    from flows.local import run_search
    from flows.parameters import DataParameters, SearchParameters

    asked = SearchParameters(
        preset, tuple(space or PAPER), trials, tuple(assignments or ()), tiny, prune, seed, backend, workers
    )
    check_source(source)
    parse_space(compose(preset, asked.overrides, tiny), asked.space)
    with quiet_stdout(as_json):
        outcome = run_search(DataParameters(source), asked)
    if as_json:
        emit(outcome)
        return
    table = Table("trial", "macro-F1", "epochs", "values")
    for trial in sorted(outcome.trials, key=lambda trial: trial.macro_f1 or -1.0, reverse=True)[:10]:
        score = trial.state if trial.macro_f1 is None else f"{100 * trial.macro_f1:.1f} %"
        table.add_row(str(trial.number), score, str(trial.epochs), " ".join(trial.assignments))
    console.print(table)
    console.print(f"best recipe, table and pictures: {outcome.place}", highlight=False, soft_wrap=True)
    if outcome.best:
        console.print(
            "train it again: copy preset.py to components/training/presets/NAME.py, or --preset "
            f"{preset} " + " ".join(f"--set {text}" for text in (*asked.overrides, *outcome.best.assignments)),
            highlight=False, soft_wrap=True,
        )  # fmt: skip
