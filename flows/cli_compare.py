"""`ferline compare`: models against each other under several seeds."""

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from flows.console import console, emit, quiet_stdout, say

if TYPE_CHECKING:
    from flows.compare import ComparisonOutcome
    from flows.parameters import ComparisonParameters, DataParameters


def compare(
    source: Annotated[str, typer.Option(help="synthetic, a CSV, an image folder or an archive.")] = "synthetic",
    preset: Annotated[
        list[str] | None, typer.Option(help="Preset to compare; repeats. The paper's six at 48 pixels by default.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds with commas between; each model is trained under each.")] = "0,1,2",
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="Recipe override, key=value, for every preset; may be repeated.")
    ] = None,
    tiny: Annotated[bool, typer.Option("--tiny", help="Shrink every recipe to seconds.")] = False,
    own_data: Annotated[
        bool,
        typer.Option(
            "--own-data",
            help="Each preset keeps its own data and balance; without it the first preset's hold for all.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder that also gets comparison.md, its pictures and a page, none with a face."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")
    ] = False,
) -> None:
    """Train, evaluate and report; what is interrupted is started again by the same line, and goes on.

    Networks that are all given what `hybrid` is given, each by its own recipe:
    `ferline compare --source fer2013.csv --preset hybrid --preset resnet18-fair --preset vgg16-fair --own-data`
    """
    from flows.parameters import ComparisonParameters, DataParameters

    presets = tuple(preset) if preset else ComparisonParameters().presets
    comparison = ComparisonParameters(presets, _seeds(seeds), tuple(assignments or ()), tiny, not own_data)
    data = DataParameters(source)
    _check(data, comparison, out)
    with quiet_stdout(as_json):
        outcome = run_comparison(data, comparison)
    if out:
        _hand_out(outcome, out)
    emit(outcome) if as_json else _print(outcome)


def run_comparison(data: "DataParameters", comparison: "ComparisonParameters") -> "ComparisonOutcome":
    """compare-models in this process, on the server that PREFECT_API_URL names or on a temporary one."""
    from flows.local import embedded_environment

    embedded_environment(os.environ)  # before the first import of prefect, which reads it then
    from flows.compare import compare_models

    return compare_models(data, comparison)


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no list of whole numbers such as 0,1,2.", param_hint="--seeds"
        ) from error


def _check(data: "DataParameters", comparison: "ComparisonParameters", out: Path | None) -> None:
    """What is wrong with the arguments themselves is told before a server starts and hours of training."""
    from components.ingest import check_source
    from components.training.recipes import compose

    check_source(data.source)
    for preset in comparison.presets:
        compose(preset, comparison.overrides, comparison.tiny)
    if out:
        _check_place(out)


def _check_place(out: Path) -> None:
    """An earlier comparison in `out` is replaced; files of the same names by somebody else are not."""
    from components.errors import DataError
    from components.report.comparison_page import PICTURES, SHOWN, SIGNED, TEXT

    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file: name a folder for the report.")
    taken = [path.name for path in (out / TEXT, out / SHOWN, *sorted(out.glob(PICTURES))) if path.exists()]
    if taken and not ((out / TEXT).is_file() and SIGNED in (out / TEXT).read_text(errors="replace")):
        raise DataError(f"{out} holds {', '.join(taken)} of another origin: move them, or name another folder.")


def _hand_out(outcome: "ComparisonOutcome", out: Path) -> None:
    from components.report.comparison_page import PICTURES, faceless
    from flows.context import fetch

    _check_place(out)  # hours may have passed
    out.mkdir(parents=True, exist_ok=True)
    for stale in out.glob(PICTURES):
        stale.unlink()
    for file in faceless(fetch(outcome.report)):
        shutil.copyfile(file, out / file.name)
        typer.echo(f"wrote {out / file.name}", err=True)


def _print(outcome: "ComparisonOutcome") -> None:
    from components.report.comparison_page import PAGE, RECORD
    from flows.context import fetch

    folder = fetch(outcome.report)
    record = json.loads((folder / RECORD).read_text())
    seeds = ", ".join(map(str, record["seeds"]))
    title = f"{record['split']}, n = {record['n']}; mean over seeds {seeds} (least to greatest)"
    table = Table("model", "macro-F1", "accuracy", "test loss", "minutes", "pretraining, minutes", title=title)
    for model in record["models"]:
        shares = (f"{100 * f['mean']:.1f} % ({100 * f['low']:.1f} to {100 * f['high']:.1f})" for f in
                  (model["macro_f1"], model["accuracy"]))  # fmt: skip
        loss, *minutes = (model[name]["mean"] for name in ("test_loss", "minutes", "pretraining_minutes"))
        table.add_row(model["name"], *shares, f"{loss:.3f}", *(f"{value:.1f}" for value in minutes))
    console.print(table)
    say(f"report  {folder / PAGE}")
