"""`ferline models ...`"""

import getpass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from flows.console import console, emit, quiet_stdout, say

models_app = typer.Typer(help="The registry: versions, aliases, promotion, history.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]
Version = Annotated[str, typer.Argument(help="Number or alias of a version, such as 3 or champion.")]


@models_app.command("list", epilog="Example: ferline models list --json")
def list_versions(as_json: Json = False) -> None:
    """Registered versions, newest first."""
    from flows.context import registry

    with quiet_stdout(as_json):
        versions = registry().versions()
    if as_json:
        emit([{"name": v.name, "version": v.version, "aliases": list(v.aliases), "metrics": dict(v.metrics),
               "status": v.status, "created_at": v.created_at} for v in versions])  # fmt: skip
        return
    table = Table("version", "aliases", "status", "preset", "macro-F1", "accuracy", "made")
    for v in versions:
        figures = (f"{100 * v.metrics[name]:.1f} %" if name in v.metrics else "" for name in ("macro_f1", "accuracy"))
        preset = v.tags.get("ferline.preset", "")
        table.add_row(v.version, ", ".join(v.aliases), v.status, preset, *figures, v.created_at[:16])
    console.print(table if versions else "nothing is registered yet: `ferline run train-pipeline` trains and registers")


@models_app.command(epilog="Example: ferline models show champion")
def show(version: Version, as_json: Json = False) -> None:
    """One version with its metrics, tags and model card."""
    from flows.context import artifact, registry

    with quiet_stdout(as_json):
        found = registry().get(version)
        folder = artifact(found)
        card = (folder / "extra_files" / "model_card.md").read_text()
    if as_json:
        emit({"name": found.name, "version": found.version, "aliases": list(found.aliases), "status": found.status,
              "metrics": dict(found.metrics), "tags": dict(found.tags), "model_sha256": found.model_sha256,
              "folder": str(folder), "card": card})  # fmt: skip
        return
    console.print(
        f"[bold]{found.name} {found.version}[/bold] {' '.join('@' + a for a in found.aliases)} {found.status}"
    )
    console.print(f"{folder}\n", highlight=False, soft_wrap=True)
    say(card)


@models_app.command(epilog="Example: ferline models promote 3, or: ferline models promote 3 --force --reason 'hotfix'")
def promote(
    version: Version = "challenger",
    force: Annotated[bool, typer.Option("--force", help="Without a passing decision; needs a reason.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "",
    as_json: Json = False,
) -> None:
    """Make a version champion, by its passing decision or by force."""
    from flows.promote import promote_by_decision

    with quiet_stdout(as_json):
        now = promote_by_decision(version, force, reason, getpass.getuser())
    emit({"champion": now}) if as_json else console.print(f"champion is version {now}", highlight=False)


@models_app.command(epilog="Example: ferline models rollback --reason 'complaints since Monday'")
def rollback(
    to: Annotated[str | None, typer.Option(help="Version that was champion once; `previous` by default.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "",
    as_json: Json = False,
) -> None:
    """Give the champion's place back, once its target has been seen to load and answer."""
    from components.registry import rollback as roll_back
    from flows.context import promotion_lock, registry, store

    with quiet_stdout(as_json):
        entry = roll_back(
            registry(), store(), who=getpass.getuser(), lock_folder=promotion_lock(), to=to, reason=reason
        )
    emit({"champion": entry.to_version}) if as_json else console.print(f"champion is version {entry.to_version}")


@models_app.command("import-release", epilog="Example: ferline models import-release")
def import_release(
    folder: Annotated[Path | None, typer.Argument(help="A release; by default the one shipped with ferline.")] = None,
    if_none: Annotated[bool, typer.Option("--if-none", help="Only where nothing is champion yet.")] = False,
    as_json: Json = False,
) -> None:
    """Register a shipped model; where nothing is champion it becomes that, by the gate's decision it brings."""
    from flows.release import RELEASE, champion
    from flows.release import import_release as take

    with quiet_stdout(as_json):
        held = champion() if if_none else None
        made = None if held else take(folder or RELEASE, getpass.getuser())
    if as_json:
        emit({"imported": made.version if made else None, "aliases": list(made.aliases) if made else []})
        return
    if made:
        waits = f"{made.status}; over the champion: `ferline models promote {made.version} --force --reason WHY`"
        standing = "champion" if "champion" in made.aliases else waits
        figures = f"macro-F1 {100 * made.metrics['macro_f1']:.1f} %, accuracy {100 * made.metrics['accuracy']:.1f} %"
        console.print(f"version {made.version}, {made.tags['ferline.preset']} ({figures} on PublicTest): {standing}")


@models_app.command("export-release", epilog="Example: ferline models export-release champion release/")
def export_release(
    version: Version,
    out: Annotated[Path, typer.Argument(help="Folder to make; below 12 MB in all.")],
    as_json: Json = False,
) -> None:
    """A version that passed the gate as a folder to ship: graph, weights in half precision, recipe, card."""
    from flows.release import export_release as make

    with quiet_stdout(as_json):
        sizes = make(version, out)
    if as_json:
        emit(sizes)
        return
    table = Table("file", "MB")
    for name, size in sizes.items():
        table.add_row(name, f"{size / 1e6:.2f}")
    console.print(table)
    console.print(f"{out}: {sum(sizes.values()) / 1e6:.1f} MB", highlight=False, soft_wrap=True)


@models_app.command(epilog="Example: ferline models history")
def history(as_json: Json = False) -> None:
    """Who changed what, when and why: the ledger, oldest first."""
    from components.registry import history as read_history
    from flows.context import registry, store

    with quiet_stdout(as_json):
        entries = read_history(store(), registry().model_name)
    if as_json:
        emit([vars(entry) for entry in entries])
        return
    table = Table("#", "at", "who", "action", "from", "to", "reason")
    for e in entries:
        action = f"{e.action} (forced)" if e.forced else e.action
        table.add_row(str(e.number), e.at[:19], e.who, action, e.from_version or "", e.to_version, e.reason)
    console.print(table if entries else "the ledger is empty")


@models_app.command(epilog="Example: ferline models compare --days 7 --json")
def compare(
    days: Annotated[float, typer.Option(min=0.0, help="How far back the prediction log is read.")] = 7.0,
    as_json: Json = False,
) -> None:
    """What the prediction log says about each version: agreement, confidence, latency, quality where labels came."""
    from datetime import UTC, datetime, timedelta

    from components.journal.compare import COLUMNS
    from components.journal.compare import compare as compare_versions
    from flows.comparison import print_comparison
    from flows.context import journal

    with quiet_stdout(as_json):
        kept = journal()
        kept.bring()
        now = datetime.now(UTC)
        comparison = compare_versions(kept.logbook.read(now - timedelta(days=days), now, COLUMNS))
    emit(comparison) if as_json else print_comparison(comparison, console)
