"""`python -m components.training --preset compact --data DATASET --out RUN`."""

from pathlib import Path
from typing import Annotated

import typer

from components.errors import FerlineError

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: python -m components.training --preset quick --data DATASET --out RUN --set epochs=3")
def main(
    data: Annotated[Path, typer.Option(help="Folder of a dataset version.")],
    out: Annotated[Path, typer.Option(help="Run folder; a run found there is resumed.")],
    preset: Annotated[str, typer.Option(help="Name of a preset.")] = "quick",
    recipe: Annotated[Path | None, typer.Option(help="A recipe.json, in place of the preset's.")] = None,
    sample: Annotated[
        Path | None, typer.Option(help="A balanced sample (sample.npz); made from the recipe if absent.")
    ] = None,
    assignments: Annotated[list[str] | None, typer.Option("--set", help="Recipe override, key=value.")] = None,
    tiny: Annotated[bool, typer.Option(help="Shrink the recipe to seconds.")] = False,
) -> None:
    """Train one model; a run that was killed goes on from its last checkpoint."""
    from components.training.recipes import from_json, load_preset, override
    from components.training.recipes import tiny as shrink
    from components.training.train import Job, train

    try:
        chosen = from_json(recipe.read_text()) if recipe else load_preset(preset)
        chosen = override(shrink(chosen) if tiny else chosen, assignments or [])
        summary = train(Job(preset, chosen, data, out, sample), lambda line: print(line, flush=True))
    except FerlineError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(summary.to_json())


if __name__ == "__main__":
    app()
