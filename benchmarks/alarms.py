"""False alarms and power of the drift policy: `python -m benchmarks.alarms [--fer2013 SOURCE] [--save]`.

The registered model answers faces that it has never seen. Without a shift: pairs of windows on end, and how often the
alarm is raised (5 % of 200 at most), against references drawn of the same faces. With one, at half and at full
strength: how many windows of 500 are found, against one reference of other faces. Drawn faces by default, for a
champion of `make run`, and its registered reference; with --fer2013 the real PublicTest: one half is the reference of
the changed ones, the other is looked at as it is, and blurred, darkened, compressed and cut anew.
"""

import argparse
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageFilter
from scipy.stats import binomtest

from benchmarks.record import machine, save
from components.dataset import open_dataset
from components.drift import DriftPolicy, Reference, detect, load_policy, read_reference
from components.ingest import IngestOptions, ingest
from components.ingest.synthetic import SyntheticOptions, generate
from components.labels import PUBLIC_TEST
from components.predictions import Window, id_at
from components.registry.answer import ask
from components.registry.records import read_package
from components.statistics import image_statistics

ROWS = 500
Images = npt.NDArray[np.uint8]
STRENGTHS = (0.5, 1.0)
SHIFTS = ("darker", "blurrier", "occluded", "class_mix")


@dataclass(frozen=True, eq=False)
class Pool:
    """Faces with the model's answers."""

    table: pd.DataFrame
    embedding: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]

    def window(self, rows: npt.NDArray[np.int64]) -> Window:
        """Some of them as a window of the log, without labels."""
        now, rng = datetime.now(UTC), np.random.default_rng(0)
        ids = [id_at(now, rng.bytes(10)) for _ in rows]
        table = self.table.iloc[rows].assign(id=ids, tag="").reset_index(drop=True)
        return Window(
            "1", now, now, table, np.arange(len(rows)), self.probabilities[rows], self.embedding[rows],
            table.iloc[:0], np.zeros((0, 7), np.float32),
        )  # fmt: skip


def pool(artifact: Path, images: Images, labels: npt.NDArray[np.int64]) -> Pool:
    """Let the model answer."""
    answers = ask(artifact / "model.onnx", images)
    brightness, contrast, sharpness = image_statistics(images)
    confidence = answers.probabilities.max(1)
    threshold = float(read_package(artifact)["uncertain_below"])
    table = pd.DataFrame(
        {
            "brightness": brightness, "contrast": contrast, "sharpness": sharpness, "label": labels,
            "answer": answers.probabilities.argmax(1), "confidence": confidence, "uncertain": confidence <= threshold,
        }
    )  # fmt: skip
    return Pool(table, answers.embedding, answers.probabilities)


def false_alarms(calm: Pool, size: int, policy: DriftPolicy, pairs: int) -> tuple[int, int]:
    """(how many of the 2 `pairs` single windows drift, how many pairs of which both do).

    A reference errs too, and every window is held against it: so ten pairs share one, drawn anew, of `size` faces.
    """
    single, both = 0, 0
    for seed in range(pairs):
        if seed % 10 == 0:
            mixed = np.random.default_rng(1000 + seed).permutation(len(calm.table))
            reference = Reference(calm.table.iloc[mixed[:size]], calm.embedding[mixed[:size]])
        rows = np.random.default_rng(seed).permutation(mixed[size:])[: 2 * ROWS]
        drifted = [detect(reference, calm.window(part), policy).drifted for part in np.split(rows, 2)]
        single, both = single + sum(drifted), both + all(drifted)
    return single, both


def rate(hits: int, trials: int) -> str:
    """A share in words, with its count and 95 % interval (Wilson 1927, as if the trials were independent)."""
    low, high = binomtest(hits, trials).proportion_ci(method="wilson")
    return f"{hits / trials:.1%} ({hits} of {trials}; 95 %: {100 * low:.1f} to {100 * high:.1f} %)"


def power(reference: Reference, shifted: Pool, policy: DriftPolicy, windows: int) -> tuple[float, str]:
    """(share of windows that drift, the checks that found it most often)."""
    found, checks = 0, pd.Series(dtype=float)
    for seed in range(windows):
        rows = np.random.default_rng(seed).permutation(len(shifted.table))[:ROWS]
        report = detect(reference, shifted.window(rows), policy)
        found += report.drifted
        checks = checks.add(pd.Series(1.0, index=list(report.alarms)), fill_value=0)
    return found / windows, ", ".join(checks.sort_values(ascending=False).index[:4])


def drawn(artifact: Path, faces: int, **shift: float) -> Pool:
    """Synthetic faces of a seed that no preset uses."""
    images, labels, _ = generate(replace(SyntheticOptions(images=faces, seed=9001, label_noise=0.0), **shift))
    return pool(artifact, images, labels)


def photographs(
    artifact: Path, source: Path
) -> tuple[Reference, Pool, Iterator[tuple[str, float, Callable[[], Pool]]]]:
    """Real PublicTest: a reference of one half, the other half, and that one changed."""
    import tempfile

    with tempfile.TemporaryDirectory() as work:
        dataset = open_dataset(ingest(source, Path(work), IngestOptions()).folder)
        rows = np.random.default_rng(0).permutation(dataset.rows(PUBLIC_TEST))
        images, labels = np.asarray(dataset.images[np.sort(rows)]), dataset.labels[np.sort(rows)]
    order = np.random.default_rng(1).permutation(len(images))
    ours, theirs = np.split(order, [len(order) // 2])
    half = pool(artifact, images[ours], labels[ours])
    changed = (
        (name, lambda change=change: pool(artifact, change(images[theirs]), labels[theirs])) for name, change in CHANGES
    )
    return Reference(half.table, half.embedding), pool(artifact, images[theirs], labels[theirs]), changed


def _each(change: Callable[[Image.Image], Image.Image]) -> Callable[[Images], Images]:
    return lambda images: np.stack([np.asarray(change(Image.fromarray(image))) for image in images])


def _gamma(power: float) -> Callable[[Images], Images]:
    return lambda images: np.round(255 * (images / 255.0) ** power).astype(np.uint8)


def _jpeg(quality: int) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("L")

    return change


def _cut(margin: int) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.crop((margin, margin, 48 - margin, 48 - margin)).resize(
        (48, 48), Image.Resampling.BILINEAR
    )


CHANGES: tuple[tuple[str, Callable[[Images], Images]], ...] = (
    ("blur, sigma 0.6", _each(lambda image: image.filter(ImageFilter.GaussianBlur(0.6)))),
    ("blur, sigma 1.2", _each(lambda image: image.filter(ImageFilter.GaussianBlur(1.2)))),
    ("gamma 1.4", _gamma(1.4)),
    ("gamma 2.0", _gamma(2.0)),
    ("JPEG, quality 20", _each(_jpeg(20))),
    ("JPEG, quality 8", _each(_jpeg(8))),
    ("cut 3 pixels tighter", _each(_cut(3))),
    ("cut 6 pixels tighter", _each(_cut(6))),
)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", default="champion", help="number or alias of the registered model")
    parser.add_argument("--fer2013", type=Path, help="FER-2013, for real photographs")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--windows", type=int, default=50)
    parser.add_argument("--faces", type=int, default=12_000)
    parser.add_argument("--save", action="store_true", help="append to results/alarms.csv")
    options = parser.parse_args()
    from flows.context import artifact, registry

    model, policy = artifact(registry().get(options.version)), load_policy()
    if options.fer2013:
        reference, calm, shifted = photographs(model, options.fer2013)
    else:
        threshold = float(read_package(model)["uncertain_below"])
        reference = read_reference(model / "extra_files" / "reference.parquet", threshold)
        calm = drawn(model, options.faces)
        shifted = (
            (f"{shift} {strength}", lambda change={shift: strength}: drawn(model, 3000, **change))
            for shift in SHIFTS
            for strength in STRENGTHS
        )
    size = min(len(reference.table), len(calm.table) - 2 * ROWS)
    single, both = false_alarms(calm, size, policy, options.pairs)
    print(f"no drift:  references of {size} of {len(calm.table)} faces, ten pairs to one, windows of {ROWS} others")
    print(f"           windows that drift: {rate(single, 2 * options.pairs)}")
    print(f"           pairs that alarm:   {rate(both, options.pairs)}, 5 % allowed")
    print(f"shifts:    one reference of {len(reference.table)} other faces, windows of {ROWS}")
    rows = [["no drift", f"{single / (2 * options.pairs):.4f}", f"{both / options.pairs:.4f}", ""]]
    for name, make in shifted:
        found, checks = power(reference, make(), policy, options.windows)
        rows.append([name, f"{found:.4f}", "", checks])
        print(f"{name:22} {found:6.1%} of {options.windows} windows found, by {checks or 'nothing'}")
    print(f"machine:   {machine()}")
    if options.save:
        save("alarms", ["shift", "windows", "alarms", "checks"], rows)


if __name__ == "__main__":
    main()
