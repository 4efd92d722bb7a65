"""The command line `ferline`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli_compare import compare
from flows.cli_data import data_app
from flows.cli_drift import drift_app
from flows.cli_keys import keys_app
from flows.cli_log import log_app
from flows.cli_models import models_app
from flows.cli_operations import backup, doctor, restore, upgrade
from flows.cli_robustness import robustness
from flows.cli_search import search
from flows.cli_stack import stack_app
from flows.cli_weights import weights_app
from flows.console import REJECTED, Edge, console, emit, progress, quiet_stdout

if TYPE_CHECKING:
    from flows.parameters import DataParameters, TrainingParameters
    from serving.batch import BatchScored
    from serving.offline import Scored

app = typer.Typer(
    cls=Edge, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Facial-emotion recognition as a production line. `ferline where` says where everything lies.",
)  # fmt: skip
app.add_typer(data_app, name="data", cls=Edge)
app.add_typer(models_app, name="models", cls=Edge)
app.add_typer(weights_app, name="weights", cls=Edge)
app.add_typer(log_app, name="log", cls=Edge)
app.add_typer(keys_app, name="keys", cls=Edge)
app.add_typer(drift_app, name="drift", cls=Edge)
app.add_typer(stack_app, name="stack", cls=Edge)
app.command(epilog="Example: ferline compare --source fer2013.csv --seeds 0,1,2 --out docs/results")(compare)
app.command(epilog="Example: ferline search --preset quick --space optimizer.lr=1e-4..1e-2:log --trials 12")(search)
app.command(epilog="Example: ferline backup /backups/2026-11-26")(backup)
app.command(epilog="Example: ferline restore /backups/2026-11-26")(restore)
app.command(epilog="Example: ferline upgrade")(upgrade)
app.command(epilog="Example: ferline doctor")(doctor)
app.command(epilog="Example: ferline robustness models:/champion --data .ferline/store/datasets/1f0c...")(robustness)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]
Backend = Literal["local", "ray"]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Recipe override, key=value, for every preset named; may be repeated.")
]


@app.command(epilog="Example: ferline run train-pipeline --source fer2013.csv --preset compact --set epochs=20")
def run(
    flow: Annotated[str, typer.Argument(help="train-pipeline")],
    source: Annotated[str, typer.Option(help="synthetic, a CSV, an image folder or an archive.")] = "synthetic",
    preset: Annotated[list[str] | None, typer.Option(help="Preset to train; may be repeated.")] = None,
    assignments: Set = None,
    from_run: Annotated[
        list[str] | None, typer.Option(help="Finished run folder to take in beside or instead of training; repeats.")
    ] = None,
    tiny: Annotated[bool, typer.Option("--tiny", help="Shrink every recipe to seconds.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out what cannot be read.")] = False,
    held_out: Annotated[float, typer.Option(help="Share held out where the source names no splits.")] = 0.2,
    side_by_side: Annotated[bool, typer.Option("--side-by-side", help="Train the models at the same time.")] = False,
    backend: Annotated[Backend, typer.Option(help="Train here, or on a Ray cluster (FERLINE_RAY_ADDRESS).")] = "local",
    workers: Annotated[int, typer.Option(help="ray: processes that train one model.")] = 1,
    promote: Annotated[bool, typer.Option(help="Let a passing challenger become champion.")] = True,
    as_json: Json = False,
) -> None:
    """Run a flow here, without a server unless PREFECT_API_URL names one."""
    if flow != "train-pipeline":
        raise typer.BadParameter(f"no flow {flow!r} runs by name; there is train-pipeline.", param_hint="FLOW")
    from flows.local import run_pipeline
    from flows.parameters import DataParameters, PromotionParameters, TrainingParameters
    from flows.summary import print_outcome

    presets = tuple(preset) if preset else () if from_run else TrainingParameters().presets
    brought = tuple(str(Path(folder).expanduser().absolute()) for folder in from_run or ())
    training = TrainingParameters(presets, tuple(assignments or ()), tiny, side_by_side, backend, workers, brought)
    data = DataParameters(source, skip_bad, held_out)
    _check(data, training)
    with quiet_stdout(as_json):
        outcome = run_pipeline(data, training, PromotionParameters(promote))
    emit(outcome) if as_json else print_outcome(outcome, console)
    if outcome.verdict == "Rejected":
        raise typer.Exit(REJECTED)


def _check(data: "DataParameters", training: "TrainingParameters") -> None:
    """What is wrong with the arguments themselves is told before a server starts."""
    from components.ingest import IngestOptions, check_source
    from components.training import read_summary
    from components.training.recipes import compose

    IngestOptions(skip_bad=data.skip_bad, held_out=data.held_out, size=data.image_size)
    check_source(data.source)
    for preset in training.presets:
        compose(preset, training.overrides, training.tiny)
    for folder in training.from_runs:
        read_summary(Path(folder))


@app.command(epilog="Example: ferline train --preset compact --data .ferline/store/datasets/1f0c... --out runs/compact")
def train(
    data: Annotated[str, typer.Option(help="URI of a dataset version.")],
    out: Annotated[Path, typer.Option(help="Run folder; a run found there is resumed.")],
    preset: Annotated[str, typer.Option(help="Name of a preset.")] = "quick",
    assignments: Set = None,
    tiny: Annotated[bool, typer.Option("--tiny", help="Shrink the recipe to seconds.")] = False,
    as_json: Json = False,
) -> None:
    """Train one recipe on one dataset version."""
    from components.training.recipes import compose
    from components.training.train import Job
    from components.training.train import train as run_training
    from flows.context import fetch
    from flows.places import places

    recipe = compose(preset, assignments or [], tiny)
    with quiet_stdout(as_json):
        job = Job(preset, recipe, fetch(data), out, places=places(recipe))
        summary = run_training(job, lambda line: print(line, flush=True))
    emit(summary) if as_json else typer.echo(summary.to_json())


@app.command(
    epilog="Example: ferline evaluate .ferline/store/runs/0a1b... --data .ferline/store/datasets/1f0c... --final"
)
def evaluate(
    run_uri: Annotated[str, typer.Argument(metavar="RUN", help="Folder or URI of a finished training run.")],
    data: Annotated[str, typer.Option(help="URI of a dataset version.")],
    final: Annotated[bool, typer.Option("--final", help="Open PrivateTest, and record it in the ledger.")] = False,
    reason: Annotated[str, typer.Option(help="With --final: why it is opened.")] = "final figure",
    again: Annotated[bool, typer.Option("--again", help="With --final: also for a model it was opened for.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the evaluation; the store's by default.")] = None,
    as_json: Json = False,
) -> None:
    """Figures of a trained model on PublicTest, or once and for all on PrivateTest."""
    from flows.evaluation import evaluate_run
    from flows.summary import print_evaluation

    def say(line: str) -> None:
        typer.echo(line, err=True)

    with quiet_stdout(as_json):
        evaluation, place = evaluate_run(run_uri, data, final, reason, again, out, say)
    emit(evaluation) if as_json else print_evaluation(evaluation, place, console)


@app.command(
    epilog="Example: ferline predict photos/ --out predictions.parquet --explain, or: "
    "ferline predict s3://photos/2026 --out s3://scores/2026 --parts --backend ray --workers 8"
)
def predict(
    source: Annotated[
        str, typer.Argument(help="Folder of pictures, archive of one, or CSV; with --parts a folder or s3://.")
    ],
    out: Annotated[str, typer.Option(help="Parquet file to write, or folder of parts; what is done survives a stop.")],
    version: Annotated[str, typer.Option(help="Number or alias of the version that answers.")] = "champion",
    face: Annotated[str, typer.Option(help="auto, none or largest: how a face is looked for.")] = "auto",
    explain: Annotated[bool, typer.Option("--explain", help="With the rollout map of every face.")] = False,
    tag: Annotated[str, typer.Option(help="Goes into every row.")] = "",
    parts: Annotated[bool, typer.Option("--parts", help="A Parquet file for every 512 pictures, in a folder.")] = False,
    backend: Annotated[Backend, typer.Option(help="In this process, or on a Ray cluster (into parts).")] = "local",
    workers: Annotated[int, typer.Option(min=1, help="ray: processes, a core each.")] = 2,
    as_json: Json = False,
) -> None:
    """Score many pictures without a server; exit code 0 also where some cannot be read: their rows say why.

    Into one file from a folder, an archive or a CSV; with --parts or --backend ray from a folder or s3://, in parts.
    """
    from flows.offline import predict_batch, predict_offline
    from flows.parameters import BatchParameters

    done: Scored | BatchScored
    with quiet_stdout(as_json), progress() as report:
        if parts or backend == "ray":
            done = predict_batch(BatchParameters(source, out, version, face, explain, tag, backend, workers), report)
        else:
            done = predict_offline(Path(source), Path(out), version, face, explain, tag, report)
    if as_json:
        emit(done)
        return
    console.print(f"[bold]{done.out}[/bold]", highlight=False, soft_wrap=True)
    console.print(
        f"{done.answered} of {done.pictures} pictures answered by version {done.version}, {done.errors} not; "
        f"{done.resumed} were done before",
        highlight=False,
    )


@app.command(epilog="Example: ferline presets compact, or: ferline presets --keys")
def presets(
    name: Annotated[str | None, typer.Argument(help="A preset to read whole: what it is, and its recipe.")] = None,
    keys: Annotated[bool, typer.Option("--keys", help="Every key that --set takes, as a Markdown table.")] = False,
    as_json: Json = False,
) -> None:
    """Recipes by name, with what each is for; one of them whole; or every key of a recipe."""
    from components.training.recipes import load_preset, preset_module, preset_names

    if keys:
        from flows.recipe_keys import markdown, recipe_keys

        emit([dict(zip(("key", "default", "meaning"), line, strict=True)) for line in recipe_keys()]) if as_json else (
            typer.echo(markdown())
        )
        return
    if name:
        recipe = load_preset(name)
        emit(recipe) if as_json else typer.echo(f"{(preset_module(name).__doc__ or '').strip()}\n\n{recipe.to_json()}")
        return
    lines = {name: (preset_module(name).__doc__ or "").strip().splitlines()[0] for name in preset_names()}
    if as_json:
        emit(lines)
        return
    for name, line in lines.items():
        console.print(f"[bold]{name:16}[/bold] {line}", highlight=False)


@app.command(epilog="Example: ferline where")
def where(as_json: Json = False) -> None:
    """Where local state, store, registry and environment lie. Removing home and environment is a full reset."""
    from components.registry import without_password
    from flows.context import settings

    s = settings()
    places = {
        "home": str(s.root), "store": s.store_uri, "registry": without_password(s.mlflow_uri),
        "environment": sys.prefix, "prefect": str(s.root / "prefect"),
    }  # fmt: skip
    if as_json:
        emit(places)
        return
    for name, place in places.items():
        console.print(f"{name:12} {place}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    app()
