"""A comparison as files: comparison.json, one self-contained report.html, and comparison.md with pictures beside it."""

from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from components.report.comparison import Comparison, Contest, compare
from components.report.comparison_pictures import Picture, attentive, draw, rollouts
from components.report.comparison_tables import Table, percent, tables

RECORD, PAGE, TEXT, PICTURES = "comparison.json", "report.html", "comparison.md", "comparison-*.png"
SIGNED = "Written by compare-models"
"""In every comparison.md: this is how one is known."""


def write_comparison(contest: Contest, out: Path) -> Comparison:
    """Compare, and write everything into the folder `out`; faces stand in the page alone."""
    comparison = compare(contest)
    told, drawn = tables(comparison), draw(contest, comparison)
    out.mkdir(parents=True, exist_ok=True)
    (out / RECORD).write_text(comparison.to_json(), encoding="utf-8")
    for picture in drawn:
        (out / f"{picture.name}.png").write_bytes(picture.png)
    (out / TEXT).write_text(_text(contest, comparison, told, drawn), encoding="utf-8")
    (out / PAGE).write_text(_page(contest, comparison, told, drawn), encoding="utf-8")
    return comparison


def faceless(folder: Path) -> tuple[Path, ...]:
    """What of a written comparison may go into a repository: the text and its pictures."""
    return (folder / TEXT, *sorted(folder.glob(PICTURES)))


def _about(contest: Contest, comparison: Comparison) -> str:
    names, seeds = len(comparison.models), len(comparison.seeds)
    return (
        f"{names} model{'s' * (names > 1)} under {seeds} seed{'s' * (seeds > 1)} each, on dataset version "
        f"{comparison.dataset} ({contest.dataset.info.origin.name}). Chosen and compared on {comparison.split}, "
        f"n = {comparison.n:,}; PrivateTest was not opened. {SIGNED}: {contest.command}"
    )


def _text(contest: Contest, comparison: Comparison, told: Sequence[Table], drawn: Sequence[Picture]) -> str:
    about = _about(contest, comparison).replace(contest.command, f"`{contest.command}`")
    pictures = [f"## {p.title}\n\n![{p.title}]({p.name}.png)\n\n{p.told}\n" for p in drawn]
    *first, last = [table.markdown() for table in told]
    return "\n".join([f"# {contest.title}\n\n{about}\n", *first, *pictures, last])


def _page(contest: Contest, comparison: Comparison, told: Sequence[Table], drawn: Sequence[Picture]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=jinja2.select_autoescape(), trim_blocks=True
    )
    sections = [(t.anchor, t.title) for t in told[:-1]] + [(p.name, p.title) for p in drawn]
    sections += [("rollout", "Rollout"), (told[-1].anchor, told[-1].title), ("origin", "Origin")]
    return environment.get_template("comparison.html").render(
        title=contest.title,
        written=contest.written,
        about=_about(contest, comparison),
        sections=sections,
        leading=_leading(comparison),
        tables=told,
        pictures=[
            {"name": p.name, "title": p.title, "told": p.told, "svg": Markup(p.svg), "size": _size(p, comparison)}
            for p in drawn
        ],
        looks=rollouts(contest),
        attentive=list(attentive(contest)),
        split=comparison.split,
        seed=comparison.seeds[0],
        provenance=_provenance(contest, comparison),
    )


def _size(picture: Picture, comparison: Comparison) -> str:
    """Small multiples of one or two models are not blown up to the page's width."""
    multiples = picture.name in ("comparison-confusion", "comparison-reliability")
    return {1: "one", 2: "two"}.get(len(comparison.models), "wide") if multiples else "wide"


def _leading(comparison: Comparison) -> list[tuple[str, str, str]]:
    """The best model, and what it took."""
    best = max(comparison.models, key=lambda model: model.macro_f1.mean)
    energy = f", {best.energy_wh.mean:.1f} Wh" if best.energy_wh else ""
    before = best.pretraining_minutes.mean
    apart = f", after {before:.1f} min of pretraining" if before else ""
    return [
        ("best macro-F1", percent(best.macro_f1.mean), f"{best.name}, mean over {best.macro_f1.n} seeds"),
        ("its accuracy", percent(best.accuracy.mean), f"{comparison.split}, n = {comparison.n:,}"),
        ("its test loss", f"{best.test_loss.mean:.3f}", "nats, calibrated"),
        (
            "one training of it",
            f"{best.minutes.mean:.1f} min",
            f"{best.parameters / 1e6:.2f} M parameters{energy}{apart}",
        ),
    ]


def _provenance(contest: Contest, comparison: Comparison) -> list[tuple[str, str]]:
    runs = [
        (f"{model.name}, seed {repeat.seed}", f"{repeat.run_uri} · {repeat.evaluation_uri}")
        for model in comparison.models
        for repeat in model.repeats
    ]
    return [
        ("command", contest.command),
        ("dataset", str(contest.dataset.root)),
        ("fingerprint", comparison.fingerprint),
        ("test images", comparison.test_digest),
        ("hardware", "; ".join(comparison.hardware)),
        *runs,
    ]
