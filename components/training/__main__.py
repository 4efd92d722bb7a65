"""`python -m components.training --preset compact --data DATASET --out RUN`.

argparse, since Typer brings pydantic along, which a bare GPU machine need not have.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import ClusterError, FerlineError, TrainingError, TrainingHopeless

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.training.records import RunSummary
    from components.training.train import Job


def parser() -> argparse.ArgumentParser:
    """The options of a training."""
    options = argparse.ArgumentParser(
        prog="python -m components.training",
        description="Train one model; a run that was killed goes on from its last checkpoint.",
        epilog="Example: python -m components.training --preset quick --data DATASET --out RUN --set epochs=3",
    )
    add = options.add_argument
    add("--data", type=Path, required=True, help="folder of a dataset version")
    add("--out", type=Path, required=True, help="run folder; a run found there is resumed")
    add("--preset", default="quick", help="name of a preset (default: %(default)s)")
    add("--recipe", type=Path, help="a recipe.json, in place of the preset's")
    add("--sample", type=Path, help="a balanced sample (sample.npz); made from the recipe if absent")
    add("--place", dest="places", action="append", default=[], metavar="URI=FOLDER",
        help="where weights or a teacher that the recipe names by a store URI lie here; repeats")  # fmt: skip
    add("--shared", type=Path, metavar="FOLDER", help="pretrained backbones of trainings that pretrain the same")
    add("--set", dest="assignments", action="append", default=[], metavar="KEY=VALUE", help="recipe override; repeats")
    add("--tiny", action="store_true", help="shrink the recipe to seconds")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Train; the process's status, with one line of error.

    2 for wrong input, 3 for a training that would end the same way again, 1 for what another try may mend.
    """
    options = parser().parse_args(arguments)
    from components.training.train import train

    return run(options, lambda job: train(job, lambda line: print(line, flush=True)))


def run(options: argparse.Namespace, train: "Callable[[Job], RunSummary]") -> int:
    """Make the job of parsed options, hand it over, print its summary or its error; the process's status."""
    from components.training.recipes import compose, from_file, override, tiny
    from components.training.train import Job

    try:
        if options.recipe:
            recipe = from_file(options.recipe)
            recipe = override(tiny(recipe) if options.tiny else recipe, options.assignments)
        else:
            recipe = compose(options.preset, options.assignments, options.tiny)
        places = {uri: Path(path) for uri, _, path in (text.rpartition("=") for text in options.places)}
        summary = train(Job(options.preset, recipe, options.data, options.out, options.sample, places, options.shared))
    except (FerlineError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        if isinstance(error, TrainingHopeless):
            return 3
        return 1 if isinstance(error, TrainingError | ClusterError | OSError) else 2
    print(summary.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
