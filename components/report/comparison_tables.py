"""A comparison's tables in words: the same cells for Markdown and HTML.

The first sets all models side by side, the second the ViT's regimes; both after M. Di Iorio, "Emotion Recognition Using
Vision Transformers", whose own accuracies stand below in rows marked as the paper's where the images are FER-2013's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.evaluation.records import Interval
from components.evaluation.repeats import Gain, Spread
from components.evaluation.tables import PAPER_ACCURACY, markdown
from components.labels import CLASSES
from components.report.comparison import Comparison, ModelFigures
from components.report.comparison_words import (
    data_words,
    doubt,
    network_words,
    origin,
    rate_words,
    regime_words,
    replaced_words,
    start_words,
)
from components.training.recipes import flat

PAPER_VIT = next(name for name in PAPER_ACCURACY if name.startswith("ViT"))
WORDS = ("model", "less", "network", "regime", "weights before", "learning rate", "best epoch", "better in macro-F1")
REGIME = ("regime", "top_blocks")
"""What a regime itself decides of a recipe."""
PARTS = {
    "start": ("model.pretrained", "pretrain.", "distill."),
    "learning rate": ("optimizer.lr", "optimizer.layer_decay", "schedule."),
}
OUTSIDE = ("model.pretrained", "distill.teacher", "data.exclude")

Cell = tuple[str, ...]
"""A figure, then what is said of its doubt, a piece each."""


@dataclass(frozen=True)
class Table:
    """A caption that says what the figures rest on, a head, and rows of cells; a row of the paper's own is marked."""

    anchor: str
    title: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    paper: tuple[tuple[Cell, ...], ...] = ()
    note: str = ""
    """What is said below the table, of the rows themselves."""

    @property
    def words(self) -> frozenset[int]:
        """Columns that hold words, not figures."""
        return frozenset(k for k, name in enumerate(self.head) if name in WORDS)

    def markdown(self) -> str:
        """Title, caption, table and note."""
        rows = [[_text(cell) for cell in row] for row in (*self.rows, *self.paper)]
        pieces = [f"## {self.title}", self.caption, markdown(self.head, rows), *([self.note] if self.note else [])]
        return "\n\n".join(pieces) + "\n"


def _text(cell: Cell) -> str:
    return f"{cell[0]} ({'; '.join(cell[1:])})" if cell[1:] else cell[0]


def tables(comparison: Comparison) -> tuple[Table, ...]:
    """All tables, in the order in which they are read; that of the regimes only where there is a ViT."""
    regimes = [model for model in comparison.models if model.recipe.model.name == "vit"]
    return (
        _models(comparison),
        *([_regimes(comparison, regimes)] if regimes else []),
        _costs(comparison),
        *([_pairs(comparison)] if comparison.gains else []),
        _classes(comparison),
        _runs(comparison),
    )


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _as_printed(share: float) -> str:
    """The paper's own figures, with its digits."""
    return f"{100 * share:.2f} %"


def _over(figure: Spread, write: Callable[[float], str], images: Interval | None = None) -> Cell:
    """A mean, its range over seeds where there are several, and its interval over images where it has one."""
    ends = {"seeds": figure if figure.n > 1 else None, "images": images}
    pieces = [
        f"{name} {write(around.low).removesuffix(' %')} to {write(around.high).removesuffix(' %')}"
        for name, around in ends.items()
        if around
    ]
    return (write(figure.mean), *pieces)


def _amount(value: float) -> str:
    """Three figures, whatever the size."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _nats(value: float) -> str:
    return f"{value:.3f}"


def _cost_words(comparison: Comparison) -> str:
    sources = [
        f"{source}, of the whole machine, other processes included" if source.startswith("codecarbon") else source
        for source in comparison.energy_sources
    ]
    return (
        "Minutes and energy: of the epochs with labels. Pretraining: masked, on the same images, before the first "
        f"label. Energy by: {'; '.join(sources)}."
    )


def _apart(there: bool, minutes: Cell, energy: Cell) -> tuple[Cell, Cell]:
    """The two columns of a masked pretraining."""
    return (minutes, energy) if there else (("none",), ("none",))


def _models(comparison: Comparison) -> Table:
    head = ("model", "network", "accuracy", "macro-F1", "macro precision", "macro recall", "accuracy without twins",
            "macro-F1 without twins", "test loss", "ECE")  # fmt: skip
    blanks: tuple[Cell, ...] = (("",),) * (len(head) - 3)
    bare = comparison.n - comparison.twins
    caption = (
        f"{origin(comparison)} {doubt(comparison)} {data_words(comparison)} Macro: the mean over the classes. Without "
        f"twins: the {bare:,} test images that have no identical or nearly identical one in Training. Test loss, the "
        "same for every model: mean -log p of the true class, calibrated, nats. ECE: expected calibration error."
    )
    paper = tuple(
        (("*the paper's*",), (network,), (_as_printed(accuracy),), *blanks)
        for network, accuracy in PAPER_ACCURACY.items()
    )
    if comparison.fer2013:
        caption += " The paper's rows are its own figures: pretrained weights, its test split, no interval."
    return Table(
        "models", "The models", caption, head,
        tuple(_model_row(model) for model in comparison.models), paper if comparison.fer2013 else (),
        replaced_words(comparison),
    )  # fmt: skip


def _model_row(model: ModelFigures) -> tuple[Cell, ...]:
    bare = [
        _over(figure, percent) if figure else ("none",)
        for figure in (model.accuracy_without_twins, model.macro_f1_without_twins)
    ]
    return (
        (model.name,), (network_words(model.recipe), f"{model.parameters / 1e6:.2f} M parameters"),
        _over(model.accuracy, percent, model.accuracy_interval),
        _over(model.macro_f1, percent, model.macro_f1_interval),
        _over(model.macro_precision, percent), _over(model.macro_recall, percent), *bare,
        _over(model.test_loss, _nats), (_nats(model.ece.mean),),
    )  # fmt: skip


def _regimes(comparison: Comparison, regimes: Sequence[ModelFigures]) -> Table:
    reference = regimes[0].name
    head = ("model", "regime", "weights before", "learning rate", "best epoch", "accuracy", "macro-F1", "test loss",
            "macro-F1 less the first's, points")  # fmt: skip
    over = {gain.theirs: gain for gain in comparison.gains if gain.ours == reference}
    rows = []
    for model in regimes:
        gain = over.get(model.name)
        less_first: Cell = ("",) if gain is None else _points(-gain.macro_f1, _turned(gain.macro_f1_interval))
        best = ", ".join(f"{r.best_epoch} of {r.epochs}" for r in model.repeats)
        rows.append((
            (model.name,), (regime_words(model.recipe),), (start_words(model.recipe, model.elsewhere),),
            (rate_words(model.recipe),), (best,), _over(model.accuracy, percent, model.accuracy_interval),
            _over(model.macro_f1, percent, model.macro_f1_interval), _over(model.test_loss, _nats), less_first,
        ))  # fmt: skip
    blanks: tuple[Cell, ...] = (("",),) * 3
    paper = ((("*the paper's*",), ("full, warm-up and then plateau",), (PAPER_VIT,), ("",), ("",),
              (_as_printed(PAPER_ACCURACY[PAPER_VIT]),), *blanks),)  # fmt: skip
    less = (
        f" Less the first's: each model's macro-F1 less that of {reference}, mean over the seeds, with the 95 % paired "
        f"bootstrap interval over test images.{_mixed(regimes)}"
    )
    caption = (
        f"{origin(comparison)} {doubt(comparison)} Best epoch: by macro-F1 on the validation images, a seed each."
        f"{less if len(regimes) > 1 else ''}"
    )
    return Table(
        "regimes", "The ViT's regimes", caption, head, tuple(rows), paper if comparison.fer2013 else ()
    )  # fmt: skip


def _mixed(models: Sequence[ModelFigures]) -> str:
    """A warning that names all that differs besides the regime; empty where nothing does."""
    recipes = [flat(model.recipe) for model in models]
    found: dict[str, list[str]] = {part: [] for part in (*PARTS, "other settings")}
    for key in recipes[0]:
        values = [recipe[key] for recipe in recipes]
        if key not in REGIME and len(set(values)) > 1:
            # Paths are this machine's own affair; what they lead to stands in the column.
            told = ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
            part = next((part for part, keys in PARTS.items() if key.startswith(keys)), "other settings")
            found[part].append(key if key in OUTSIDE else f"{key}: {told}")
    differing = "; ".join(f"{part} ({'; '.join(told)})" for part, told in found.items() if told)
    return differing and (
        " That is the difference of whole recipes, not the regime's effect: row by row they also differ in "
        f"{differing}."
    )


def _turned(interval: Interval) -> Interval:
    return Interval(-interval.high, -interval.low)


def _points(value: float, interval: Interval) -> Cell:
    return (f"{100 * value:+.1f}", f"{100 * interval.low:+.1f} to {100 * interval.high:+.1f}")


def _costs(comparison: Comparison) -> Table:
    head = ("model", "minutes", "energy, Wh", "pretraining, minutes", "pretraining, Wh")
    rows = tuple(
        ((model.name,), *_took(model.minutes, model.energy_wh),
         *_apart(any(r.pretraining for r in model.repeats), *_took(model.pretraining_minutes, model.pretraining_wh)))
        for model in comparison.models
    )  # fmt: skip
    several = " One training, mean over the seeds; seeds: least to greatest over them."
    caption = f"{origin(comparison)}{several if len(comparison.seeds) > 1 else ''} {_cost_words(comparison)}"
    return Table("cost", "Time and energy", caption, head, rows, note=_spent(comparison))


def _took(minutes: Spread, energy: Spread | None) -> tuple[Cell, Cell]:
    return _over(minutes, _amount), _over(energy, _amount) if energy else ("not measured",)


def _spent(comparison: Comparison) -> str:
    """Who shares a pretraining, and what everything took with each pretraining counted once."""
    runs = [r for model in comparison.models for r in model.repeats]
    pretrainings = {r.pretraining: r for r in runs if r.pretraining}
    said = [
        f"Under seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))} {' and '.join(names)} share a pretraining: "
        f"it was spent once{' a seed' if len(seeds) > 1 else ''} and stands in the row of each."
        for names, seeds in _sharing(comparison).items()
    ]
    total = _sum([(r.minutes, r.energy_wh) for r in runs])
    if not pretrainings:
        return f"Spent in all: {total}."
    once = _sum([(r.pretraining_minutes, r.pretraining_wh) for r in pretrainings.values()])
    many = f"{len(pretrainings)} pretraining{'s' * (len(pretrainings) > 1)}, each counted once"
    return " ".join([*said, f"Spent in all: {total} with labels; {once} for {many}."])


def _sharing(comparison: Comparison) -> dict[tuple[str, ...], list[int]]:
    """Models that begin from one pretraining -> the seeds under which they do."""
    begun: dict[tuple[int, str], list[str]] = {}
    for model in comparison.models:
        for r in model.repeats:
            begun.setdefault((r.seed, r.pretraining), []).append(model.name)
    found: dict[tuple[str, ...], list[int]] = {}
    for (seed, pretraining), names in begun.items():
        if pretraining and len(names) > 1:
            found.setdefault(tuple(names), []).append(seed)
    return found


def _sum(spent: Sequence[tuple[float, float | None]]) -> str:
    known = [energy for _, energy in spent if energy is not None]
    energy = f" and {_amount(sum(known))} Wh" if len(known) == len(spent) else " (energy not measured)"
    return f"{_amount(sum(minutes for minutes, _ in spent))} minutes{energy}"


def _pairs(comparison: Comparison) -> Table:
    rows = tuple(
        ((gain.ours,), (gain.theirs,), _points(gain.accuracy, gain.accuracy_interval),
         _points(gain.macro_f1, gain.macro_f1_interval), (_better(gain),))
        for gain in comparison.gains
    )  # fmt: skip
    many = f" The {len(rows)} intervals are not adjusted for being so many." if len(rows) > 1 else ""
    caption = (
        f"{origin(comparison)} The first model less the second, in points: means over the seeds, with 95 % paired "
        "bootstrap intervals, every model scored on the same resampled images. They tell what other test images would "
        f"do, not what other seeds would.{many}"
    )
    head = ("model", "less", "accuracy, points", "macro-F1, points", "better in macro-F1")
    return Table("pairs", "Each against each", caption, head, rows)


def _better(gain: Gain) -> str:
    around = gain.macro_f1_interval
    return gain.ours if around.low > 0 else gain.theirs if around.high < 0 else "not told apart"


def _classes(comparison: Comparison) -> Table:
    models = comparison.models
    seen = [sum(row) // len(comparison.seeds) for row in models[0].confusion]
    rows = tuple(
        ((name,), (f"{n:,}",), *(_class(m.f1_by_class[name], m.precision_by_class[name], m.recall_by_class[name])
                                 for m in models))
        for name, n in zip(CLASSES, seen, strict=True)
    )  # fmt: skip
    means = (_class(m.macro_f1, m.macro_precision, m.macro_recall) for m in models)
    several = "; mean over the seeds; seeds: least to greatest" if len(comparison.seeds) > 1 else ""
    return Table(
        "classes", "F1, precision and recall by class",
        f"{origin(comparison)} F1 first, precision and recall below it{several}.",
        ("class", "images", *(model.name for model in models)),
        (*rows, (("mean over classes",), (f"{comparison.n:,}",), *means)),
    )  # fmt: skip


def _class(f1: Spread, precision: Spread, recall: Spread) -> Cell:
    return (*_over(f1, percent), f"precision {percent(precision.mean)}", f"recall {percent(recall.mean)}")


def _runs(comparison: Comparison) -> Table:
    head = ("model", "seed", "accuracy", "macro-F1", "test loss", "ECE", "epochs (best)", "minutes", "energy, Wh",
            "pretraining, minutes", "pretraining, Wh", "images/s", "memory, MB")  # fmt: skip
    rows = tuple(
        ((model.name,), (str(r.seed),), (percent(r.accuracy),), (percent(r.macro_f1),), (_nats(r.test_loss),),
         (_nats(r.ece),), (f"{r.epochs} ({r.best_epoch})",), (_amount(r.minutes),), _energy(r.energy_wh),
         *_apart(bool(r.pretraining), (_amount(r.pretraining_minutes),), _energy(r.pretraining_wh)),
         (f"{r.images_per_second:.0f}",), (f"{r.peak_memory_mb:.0f}",))
        for model in comparison.models for r in model.repeats
    )  # fmt: skip
    caption = f"{origin(comparison)} Each of the {len(rows)} trainings by itself. {_cost_words(comparison)}"
    return Table("runs", "Every training", f"{caption} Memory: the peak of the process.", head, rows)


def _energy(wh: float | None) -> Cell:
    return ("not measured" if wh is None else _amount(wh),)
