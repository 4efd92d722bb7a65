"""`ferline robustness`"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.console import console, emit, progress, quiet_stdout

if TYPE_CHECKING:
    from components.evaluation.robustness import Robustness

RECORD, TABLE, PICTURE = "robustness.json", "robustness.md", "robustness.png"


def robustness(
    run_uri: Annotated[str, typer.Argument(metavar="RUN", help="Finished training run, or models:/VERSION.")],
    data: Annotated[str, typer.Option(help="URI of a dataset version; its PublicTest is scored.")],
    groups: Annotated[Path | None, typer.Option(help="CSV with columns id and group: figures for each group.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for record, table and chart; by default below home.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")
    ] = False,
) -> None:
    """Accuracy and macro-F1 in worse pictures, and the gaps between classes and groups of people, on PublicTest."""
    from components.dataset import file_sha256, open_dataset
    from components.evaluation.groups import read_groups
    from components.evaluation.robustness import robustness as measure
    from components.evaluation.robustness import robustness_table
    from flows.candidates import model_folder
    from flows.context import fetch, work_folder

    with quiet_stdout(as_json), progress() as report:
        dataset = open_dataset(fetch(data))
        named = read_groups(groups.expanduser(), dataset) if groups else None
        model = model_folder(run_uri)
        usual = work_folder("robustness") / f"{file_sha256(model.onnx)[:16]}-{dataset.info.name}"
        folder = out.expanduser() if out else usual
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(model.onnx, dataset, model.name, named, lambda done, total: report("corruptions", done, total))
        write(found, folder)
    if as_json:
        emit(found)
        return
    typer.echo(robustness_table(found))
    console.print(f"\n{folder}", highlight=False, soft_wrap=True)


def write(found: "Robustness", folder: Path) -> None:
    """Record, table and chart; the record last."""
    from components.evaluation.figures import robustness_png  # matplotlib: 0.5 s
    from components.evaluation.robustness import robustness_table

    (folder / PICTURE).write_bytes(robustness_png(found))
    (folder / TABLE).write_text(robustness_table(found) + "\n")
    (folder / RECORD).write_text(found.to_json())
