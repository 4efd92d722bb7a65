"""A comparison as files: comparison.json, one self-contained report.html, and what may go into a repository.

That is comparison.html, the same page without its faces, and comparison.md with pictures beside it.
"""

from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from components.report.comparison import Comparison, Contest, compare
from components.report.comparison_pictures import Look, Picture, attentive, draw, rollouts
from components.report.comparison_tables import Table, percent, tables

RECORD, PAGE, TEXT, PICTURES = "comparison.json", "report.html", "comparison.md", "comparison-*.png"
SHOWN = "comparison.html"
"""The page without its faces."""
LOOKED = "Where the models looked"
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
    for name, looks in ((PAGE, rollouts(contest)), (SHOWN, ())):
        (out / name).write_text(_page(contest, comparison, told, drawn, looks), encoding="utf-8")
    return comparison


def faceless(folder: Path) -> tuple[Path, ...]:
    """What of a written comparison may go into a repository: the text and its pictures, and the page without faces."""
    return (folder / TEXT, folder / SHOWN, *sorted(folder.glob(PICTURES)))


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
    looked = f"## {LOOKED}\n\n{_unseen(contest, comparison)}\n"
    origin = [f"- {name}: {value}" for name, value in _provenance(contest, comparison)]
    warning = _warning(comparison)
    came = "\n".join(["## Where this comes from\n", *([f"{warning}\n"] if warning else []), *origin, ""])
    return "\n".join([f"# {contest.title}\n\n{about}\n", *first, *pictures, looked, last, came])


def _unseen(contest: Contest, comparison: Comparison) -> str:
    """Said where no face is shown."""
    if not attentive(contest):
        return "No model of this comparison has attention that could be drawn."
    return (
        f"Rollout was drawn for {', '.join(attentive(contest))}. The sheet shows faces of {comparison.split}, "
        f"so it is not here: it is in {PAGE} of this comparison's folder in the store, and among the files of its "
        "MLflow run."
    )


def _page(
    contest: Contest, comparison: Comparison, told: Sequence[Table], drawn: Sequence[Picture], looks: Sequence[Look]
) -> str:
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
        looked=LOOKED,
        looks=looks,
        unseen=_unseen(contest, comparison),
        attentive=list(attentive(contest)),
        split=comparison.split,
        seed=comparison.seeds[0],
        provenance=_provenance(contest, comparison),
        warning=_warning(comparison),
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
    """Without folders of this machine; comparison.json has the whole URIs."""
    runs = [
        (f"{model.name}, seed {r.seed}", f"{_inside(r.run_uri)} · {_inside(r.evaluation_uri)} · commit {r.commit}")
        for model in comparison.models
        for r in model.repeats
    ]
    return [
        ("command", contest.command),
        ("dataset", comparison.dataset),
        ("fingerprint", comparison.fingerprint),
        ("test images", comparison.test_digest),
        ("hardware", "; ".join(comparison.hardware)),
        ("commits", ", ".join(_commits(comparison))),
        *runs,
    ]


def _inside(uri: str) -> str:
    """The name inside the store."""
    return "/".join(uri.split("/")[-2:])


def _commits(comparison: Comparison) -> list[str]:
    """Those that the trainings were made with, each once."""
    return sorted({r.commit for model in comparison.models for r in model.repeats})


def _warning(comparison: Comparison) -> str:
    """That not all models were trained by the same code; empty where they were."""
    commits = _commits(comparison)
    if len(commits) == 1:
        return ""
    return (
        f"Warning: the trainings are of {len(commits)} commits, {', '.join(commits)}: see that nothing between them "
        "changes a training before differences are put down to the models."
    )
