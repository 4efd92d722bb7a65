"""`ferline data ...`"""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from flows.console import console, emit, progress, quiet_stdout, say

data_app = typer.Typer(help="Dataset versions: make, look at, judge.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]
Uri = Annotated[str, typer.Argument(metavar="URI", help="URI or folder of a dataset version.")]


@data_app.command(epilog="Example: ferline data ingest fer2013.tar.xz --json")
def ingest(
    source: Annotated[str, typer.Argument(help="CSV, image folder, archive, or synthetic[:images=5000,seed=1].")],
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on past bad rows and files; record them.")] = False,
    held_out: Annotated[float | None, typer.Option(help="Share held out where the source names no splits.")] = None,
    size: Annotated[int, typer.Option(help="Side in pixels of the stored faces.")] = 48,
    as_json: Json = False,
) -> None:
    """Turn any source into an immutable, content-named dataset version."""
    from components.ingest import IngestOptions, ingest_to_store
    from flows.context import store, work_folder

    with quiet_stdout(as_json), progress() as report:
        options = IngestOptions(skip_bad=skip_bad, held_out=held_out, size=size)
        uri, info = ingest_to_store(source, store(), work_folder("ingest"), options, report)
    document = {
        "uri": uri, "fingerprint": info.fingerprint, "images": info.images, "counts": info.counts,
        "skipped": info.origin.skipped, "height": info.height, "width": info.width,
    }  # fmt: skip
    if as_json:
        emit(document)
        return
    console.print(f"[bold]{escape(uri)}[/bold]", highlight=False, soft_wrap=True)
    console.print(f"{info.images} images, fingerprint {info.fingerprint[:16]}", highlight=False)
    console.print(_counts(info.counts))
    for line in info.origin.skipped[:10]:
        say(f"left out: {line}")
    if len(info.origin.skipped) > 10:
        console.print(f"... and {len(info.origin.skipped) - 10} more; all stand in the store below skipped/")


@data_app.command(epilog="Example: ferline data describe .ferline/store/datasets/1f0c...")
def describe(uri: Uri, as_json: Json = False) -> None:
    """Counts and image statistics of a dataset version."""
    from components.dataset import open_dataset
    from flows.context import fetch

    dataset = open_dataset(fetch(uri))
    statistics = dataset.manifest.groupby("split", sort=False)[["brightness", "contrast", "sharpness"]].mean()
    document = {
        "uri": uri, "fingerprint": dataset.info.fingerprint, "images": dataset.info.images,
        "counts": dataset.info.counts, "origin": {"kind": dataset.info.origin.kind, "name": dataset.info.origin.name},
        "skipped": dataset.info.origin.skipped,
        "means": {str(split): {str(k): float(v) for k, v in row.items()} for split, row in statistics.iterrows()},
    }  # fmt: skip
    if as_json:
        emit(document)
        return
    origin = dataset.info.origin
    console.print(f"[bold]{dataset.info.name}[/bold] from {origin.kind} {escape(origin.name)}")
    console.print(_counts(dataset.info.counts))
    console.print(statistics.round(1).to_string(), highlight=False)


@data_app.command(epilog="Example: ferline data validate .ferline/store/datasets/1f0c... --out findings")
def validate(
    uri: Uri,
    out: Annotated[Path | None, typer.Option(help="Folder for report and data docs; the home's by default.")] = None,
    as_json: Json = False,
) -> None:
    """Judge a dataset version by policy; exit code 3 where a blocking expectation failed."""
    from components.dataset import open_dataset
    from components.validation import require_passed
    from components.validation import validate as run_validation
    from flows.context import fetch, validation_policy, work_folder

    with quiet_stdout(as_json):
        dataset = open_dataset(fetch(uri))
        folder = out or work_folder(f"validation/{dataset.info.name}")
        report = run_validation(dataset, validation_policy(), folder, None)
    if as_json:
        emit(report)
    else:
        for finding in report.findings:
            mark = "[green]passed[/green]" if finding.passed else f"[red]{finding.severity}[/red]"
            line = f"{mark:24} {escape(f'{finding.expectation}: {finding.detail}')}"
            console.print(line, highlight=False, soft_wrap=True)
        say(f"data docs: {folder / report.docs}")
    if not as_json:
        require_passed(report)
    elif not report.passed:
        raise typer.Exit(3)


@data_app.command(epilog="Example: ferline data audit .ferline/store/datasets/1f0c... --set epochs=8")
def audit(
    uri: Uri,
    preset: Annotated[str, typer.Option(help="Preset of the models that judge.")] = "quick",
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="Recipe override, key=value; may be repeated.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Models to train, each on all folds but one.")] = 4,
    tiny: Annotated[bool, typer.Option("--tiny", help="Shrink the recipe to seconds.")] = False,
    as_json: Json = False,
) -> None:
    """Rank Training images by how likely their label is wrong, judged by models that have not seen them."""
    from components.training.recipes import compose
    from flows.audit import SHEET, audit_labels

    recipe = compose(preset, assignments or [], tiny)
    with quiet_stdout(as_json):
        report, place = audit_labels(uri, preset, recipe, folds, lambda line: print(line, flush=True))
    if as_json:
        emit({"uri": place, **dataclasses.asdict(report)})
        return
    console.print(
        f"{report.found} of {report.images} Training images are likely mislabelled; the models agree with "
        f"{report.accuracy:.1%} of the labels",
        highlight=False,
    )
    for pair in report.pairs[:8]:
        console.print(f"  {pair.images:5} {pair.given} that look {pair.suggested}", highlight=False)
    say(f"sheet: {place}/{SHEET}")
    say(f"train without them: --set data.exclude={place}")


def _counts(counts: dict[str, dict[str, int]]) -> str:
    import pandas as pd

    frame = pd.DataFrame(counts).T
    frame["total"] = frame.sum(axis=1)
    return frame.to_string()
