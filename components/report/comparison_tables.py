"""A comparison's tables in words: the same cells for Markdown and HTML.

Table 1 sets all models side by side, Table 2 the ViT's regimes; both after M. Di Iorio, "Emotion Recognition Using
Vision Transformers", whose own accuracies stand below in rows marked as the paper's where the images are FER-2013's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.evaluation.records import Interval
from components.evaluation.repeats import Gain, Spread
from components.evaluation.tables import PAPER_ACCURACY, markdown
from components.labels import CLASSES
from components.report.comparison import Comparison, ModelFigures
from components.training.records import Recipe

PAPER_VIT = next(name for name in PAPER_ACCURACY if name.startswith("ViT"))
NETWORKS = {"vit": "ViT", "compact-vit": "compact ViT", "resnet18": "ResNet-18", "vgg16": "VGG-16"}
WORDS = ("model", "less", "network", "regime", "weights before", "best epoch", "better in macro-F1")

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

    @property
    def words(self) -> frozenset[int]:
        """Columns that hold words, not figures."""
        return frozenset(k for k, name in enumerate(self.head) if name in WORDS)

    def markdown(self) -> str:
        """Title, caption and table."""
        rows = [[_text(cell) for cell in row] for row in (*self.rows, *self.paper)]
        return f"## {self.title}\n\n{self.caption}\n\n{markdown(self.head, rows)}\n"


def _text(cell: Cell) -> str:
    return f"{cell[0]} ({'; '.join(cell[1:])})" if cell[1:] else cell[0]


def tables(comparison: Comparison) -> tuple[Table, ...]:
    """All tables, in the order in which they are read; Table 2 only where there is a ViT."""
    regimes = [model for model in comparison.models if model.recipe.model.name == "vit"]
    return (
        _models(comparison),
        *([_regimes(comparison, regimes)] if regimes else []),
        *([_pairs(comparison)] if comparison.gains else []),
        _classes(comparison),
        _runs(comparison),
    )


def origin(comparison: Comparison) -> str:
    """What every table's figures rest on: weights, images, seeds, hardware."""
    scratch = [m.name for m in comparison.models if not m.recipe.model.pretrained]
    brought = [f"{m.name} ({m.recipe.model.pretrained})" for m in comparison.models if m.recipe.model.pretrained]
    said = [
        "All models trained from scratch on the dataset's Training split alone."
        if not brought
        else f"With pretrained weights: {', '.join(brought)}. From scratch on the dataset's Training split alone: "
        f"{', '.join(scratch) or 'none'}.",
        f"{comparison.split}, n = {comparison.n:,}; seed{'s' * (len(comparison.seeds) > 1)} "
        f"{', '.join(map(str, comparison.seeds))}.",
        f"Hardware: {'; '.join(comparison.hardware)}.",
    ]
    return " ".join(said)


def doubt(comparison: Comparison) -> str:
    """What stands in brackets."""
    if len(comparison.seeds) == 1:
        return "Images: 95 % bootstrap interval over the test images."
    return (
        "Mean over the seeds; seeds: least to greatest over them; images: 95 % bootstrap interval of that mean over "
        "the test images, the seeds held fixed."
    )


def data_words(comparison: Comparison) -> str:
    """What the models learned from."""
    data, balance = comparison.data, comparison.balance
    how = {
        "none": "images as they come",
        "paper": f"large classes cut to {100 * balance.max_class_limit:.0f} % of the largest, small ones repeated up "
        f"to {balance.oversample_factor:g} times",
        "sampler": f"small classes drawn more often, power {balance.sampler_power:g}",
    }[balance.method]
    left = [
        words
        for words, value in (
            ("those whose pixels also stand in a test split", data.leaked),
            ("those that nearly equal a test image", data.near_leaked),
            ("identical ones that disagree about the label", data.conflicts),
        )
        if value == "remove"
    ]
    if data.copies == "first":
        left.append("further copies")
    if data.exclude:
        left.append("those of an exclusion list")
    whose = (
        "Under each seed all models learn from the same balanced sample of Training: "
        if comparison.same_data
        else "Each model learns from the sample of its own recipe; the first model's: "
    )
    return f"{whose}{how}; left out are {', '.join(left) if left else 'no images'}."


def network_words(recipe: Recipe) -> str:
    """`ViT, 6 layers of 192, patch 6, 48 px`."""
    model = recipe.model
    if model.pretrained:
        return f"{NETWORKS[model.name]}, {model.image_size} px"
    inside = {
        "vit": f", {model.depth} layers of {model.width}, patch {model.patch_size}",
        "compact-vit": f", {model.depth} layers of {model.width}",
        "vgg16": "" if model.cnn_width == 1 else f", {model.cnn_width:g} of the channels",
    }.get(model.name, "")
    return f"{NETWORKS[model.name]}{inside}, {model.image_size} px"


def start_words(recipe: Recipe) -> str:
    """What the weights are before the first label."""
    begun = f"pretrained: {recipe.model.pretrained}" if recipe.model.pretrained else "from scratch"
    if recipe.pretrain.epochs:
        begun += f", {recipe.pretrain.epochs} epochs of masked pretraining"
    return f"{begun}; with a teacher" if recipe.distill.teacher else begun


def regime_words(recipe: Recipe) -> str:
    """The paper's name of a regime."""
    if recipe.regime == "head":
        return "baseline: the head alone"
    if recipe.regime == "partial":
        return f"partial: the head and the top {recipe.top_blocks} blocks"
    if recipe.schedule.warmup_epochs:
        return f"full, warm-up and then {recipe.schedule.after}"
    return "full"


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


def _cost(model: ModelFigures) -> tuple[Cell, Cell]:
    """Means alone: what each training took stands in the last table."""
    energy = _amount(model.energy_wh.mean) if model.energy_wh else "not measured"
    return (_amount(model.minutes.mean),), (energy,)


def _cost_words(comparison: Comparison) -> str:
    apart = any(model.recipe.pretrain.epochs for model in comparison.models)
    whole = ", the masked pretraining on the same images included" if apart else ""
    labelled = ", of the epochs with labels" if apart else ""
    return f"Minutes: all epochs of one training{whole}. Energy: {'; '.join(comparison.energy_sources)}{labelled}."


def _models(comparison: Comparison) -> Table:
    head = ("model", "network", "accuracy", "macro-F1", "accuracy without twins", "test loss", "ECE", "parameters",
            "minutes", "energy, Wh")  # fmt: skip
    blanks: tuple[Cell, ...] = (("",),) * (len(head) - 3)
    bare = comparison.n - comparison.twins
    caption = (
        f"{origin(comparison)} {doubt(comparison)} {data_words(comparison)} Without twins: the {bare:,} test images "
        "that have no identical or nearly identical one in Training. Test loss, the same for every model: mean -log p "
        f"of the true class, calibrated, nats. ECE: expected calibration error. {_cost_words(comparison)}"
    )
    paper = tuple(
        (("*the paper's*",), (network,), (_as_printed(accuracy),), *blanks)
        for network, accuracy in PAPER_ACCURACY.items()
    )
    if comparison.fer2013:
        caption += " The paper's rows are its own figures: pretrained weights, its test split, no interval."
    return Table(
        "table-1", "Table 1: the models", caption, head,
        tuple(_model_row(model) for model in comparison.models), paper if comparison.fer2013 else (),
    )  # fmt: skip


def _model_row(model: ModelFigures) -> tuple[Cell, ...]:
    bare = model.accuracy_without_twins
    return (
        (model.name,), (network_words(model.recipe),),
        _over(model.accuracy, percent, model.accuracy_interval),
        _over(model.macro_f1, percent, model.macro_f1_interval),
        _over(bare, percent) if bare else ("none",), _over(model.test_loss, _nats), (_nats(model.ece.mean),),
        (f"{model.parameters / 1e6:.2f} M",), *_cost(model),
    )  # fmt: skip


def _regimes(comparison: Comparison, regimes: Sequence[ModelFigures]) -> Table:
    reference = regimes[0].name
    head = ("model", "regime", "weights before", "best epoch", "accuracy", "macro-F1", "test loss",
            "gain in macro-F1, points", "minutes", "energy, Wh")  # fmt: skip
    over = {gain.theirs: gain for gain in comparison.gains if gain.ours == reference}
    rows = []
    for model in regimes:
        gain = over.get(model.name)
        over_first: Cell = ("",) if gain is None else _points(-gain.macro_f1, _turned(gain.macro_f1_interval))
        best = ", ".join(f"{r.best_epoch} of {r.epochs}" for r in model.repeats)
        rows.append((
            (model.name,), (regime_words(model.recipe),), (start_words(model.recipe),), (best,),
            _over(model.accuracy, percent, model.accuracy_interval),
            _over(model.macro_f1, percent, model.macro_f1_interval), _over(model.test_loss, _nats), over_first,
            *_cost(model),
        ))  # fmt: skip
    blanks: tuple[Cell, ...] = (("",),) * 5
    paper = ((("*the paper's*",), ("full, warm-up and then plateau",), (PAPER_VIT,), ("",),
              (_as_printed(PAPER_ACCURACY[PAPER_VIT]),), *blanks),)  # fmt: skip
    gained = f" Gain: over {reference}, mean over the seeds, with the 95 % paired bootstrap interval over test images."
    caption = (
        f"{origin(comparison)} {doubt(comparison)}{gained if len(regimes) > 1 else ''} Best epoch: by macro-F1 on the "
        f"validation images, a seed each. {_cost_words(comparison)}"
    )
    return Table(
        "table-2", "Table 2: the ViT's regimes", caption, head, tuple(rows), paper if comparison.fer2013 else ()
    )  # fmt: skip


def _turned(interval: Interval) -> Interval:
    return Interval(-interval.high, -interval.low)


def _points(value: float, interval: Interval) -> Cell:
    return (f"{100 * value:+.1f}", f"{100 * interval.low:+.1f} to {100 * interval.high:+.1f}")


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
    seen = [sum(row) // len(comparison.seeds) for row in comparison.models[0].confusion]
    rows = tuple(
        ((name,), (f"{n:,}",), *(_over(model.f1_by_class[name], percent) for model in comparison.models))
        for name, n in zip(CLASSES, seen, strict=True)
    )
    mean = (("mean: macro-F1",), (f"{comparison.n:,}",), *(_over(m.macro_f1, percent) for m in comparison.models))
    several = " Mean over the seeds; seeds: least to greatest." if len(comparison.seeds) > 1 else ""
    return Table(
        "classes", "F1 by class", f"{origin(comparison)}{several}",
        ("class", "images", *(model.name for model in comparison.models)), (*rows, mean),
    )  # fmt: skip


def _runs(comparison: Comparison) -> Table:
    head = ("model", "seed", "accuracy", "macro-F1", "test loss", "ECE", "epochs (best)", "minutes", "energy, Wh",
            "images/s", "memory, MB")  # fmt: skip
    rows = tuple(
        ((model.name,), (str(r.seed),), (percent(r.accuracy),), (percent(r.macro_f1),), (_nats(r.test_loss),),
         (_nats(r.ece),), (f"{r.epochs} ({r.best_epoch})",), (_amount(r.minutes),),
         ("not measured" if r.energy_wh is None else _amount(r.energy_wh),), (f"{r.images_per_second:.0f}",),
         (f"{r.peak_memory_mb:.0f}",))
        for model in comparison.models for r in model.repeats
    )  # fmt: skip
    caption = f"{origin(comparison)} Each of the {len(rows)} trainings by itself. {_cost_words(comparison)}"
    return Table("runs", "Every training", f"{caption} Memory: the peak of the process.", head, rows)
