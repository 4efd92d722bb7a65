"""What the prediction log says about versions, as tables."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from components.journal.compare import Comparison, VersionFigures
from components.labels import CLASSES
from flows.summary import percent


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Versions and pairs of them as tables, each within 80 columns."""
    if not comparison.versions:
        console.print("the prediction log holds nothing of these days: `make serve`, and ask it something")
        return
    console.print(_versions(comparison.versions))
    told = [(v.version, v.quality) for v in comparison.versions if v.quality]
    if told:
        table = Table("version", "labelled", "macro-F1", "accuracy")
        for version, q in told:
            figures = percent(q.macro_f1, q.macro_f1_interval), percent(q.accuracy, q.accuracy_interval)
            table.add_row(version, str(q.labelled), *figures)
        console.print(table)
    shares = Table("version", *CLASSES)
    for v in comparison.versions:
        shares.add_row(v.version, *(f"{100 * share:.0f} %" for share in v.shares.values()))
    console.print(shares)
    if not comparison.pairs:
        return
    table = Table("versions", "faces", "agree", "confidence", "labelled", "macro-F1, second less first, 95 %")
    for p in comparison.pairs:
        d = p.macro_f1_difference
        table.add_row(
            f"{p.one} and {p.other}", str(p.faces), percent(p.agreement, p.agreement_interval),
            f"{100 * p.confidence_difference:+.1f} %", str(p.labelled),
            "" if d is None else f"{100 * d.low:+.1f} to {100 * d.high:+.1f} %",
        )  # fmt: skip
    console.print(table)


def _versions(versions: Sequence[VersionFigures]) -> Table:
    table = Table("version", "as", "answers", "confidence", "uncertain", "median", "99 %")
    for v in versions:
        table.add_row(
            v.version, ", ".join(v.roles), str(v.predictions), f"{100 * v.confidence:.1f} %",
            f"{100 * v.uncertain:.1f} %", f"{v.latency_ms:.1f} ms", f"{v.latency_ms_p99:.1f} ms",
        )  # fmt: skip
    return table
