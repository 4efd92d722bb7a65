"""Several models under several seeds against each other: what is compared, and the figures that come of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from components.dataset import Dataset
from components.errors import DataError
from components.evaluation.records import Evaluation, Interval
from components.evaluation.repeats import Gain, Spread, gains, mean_intervals, resample, spread
from components.evaluation.tables import is_fer2013, macro
from components.labels import CLASSES
from components.report.build import ModelRun
from components.training.records import Recipe

SCHEMA_VERSION = 2
"""1 counted a pretraining's minutes among all others."""
MINUTE = 60


@dataclass(frozen=True)
class Repeat:
    """One model under one seed, trained and evaluated."""

    seed: int
    run_uri: str
    evaluation_uri: str
    recipe: Recipe
    hardware: str
    """Device, threads and library in words."""
    commit: str
    """Of the code that trained it."""
    elsewhere: str
    """What it owes to weights and a teacher outside of its recipe, in words; empty for nothing."""
    pretraining: str
    """Digest of the masked pretraining's log, equal where trainings begin from the same one; empty without one."""
    pretraining_s: float
    """What it took, 0 without one; the summary's own time does not hold it."""
    pretraining_wh: float | None
    """0 without one; None where it was not measured."""
    run: ModelRun


@dataclass(frozen=True)
class Contest:
    """Everything that is compared."""

    title: str
    command: str
    """What a person types to repeat it."""
    written: str
    """ISO time, UTC."""
    dataset: Dataset
    models: Mapping[str, Sequence[Repeat]]
    """Name -> one repeat a seed, the same seeds in the same order for all."""
    replaced: Mapping[str, Sequence[str]]
    """Name -> settings of the model's own `data` and `balance` that gave way to the first model's, as `key=value`."""

    @property
    def first(self) -> Repeat:
        return next(iter(self.models.values()))[0]


@dataclass(frozen=True)
class RepeatFigures:
    """One training, by reference and in figures; test figures on all test images."""

    seed: int
    run_uri: str
    evaluation_uri: str
    commit: str
    model_sha256: str
    accuracy: float
    macro_f1: float
    test_loss: float
    ece: float
    epochs: int
    best_epoch: int
    minutes: float
    """Of the epochs with labels."""
    energy_wh: float | None
    """The same; None where it was not measured."""
    pretraining: str
    """Digest of the masked pretraining's log, equal where trainings begin from the same one; empty without one."""
    pretraining_minutes: float
    pretraining_wh: float | None
    """Both 0 without a pretraining; None where it was not measured."""
    images_per_second: float
    peak_memory_mb: float


@dataclass(frozen=True)
class ModelFigures:
    """One model over all seeds; shares 0 to 1. An interval is that of the mean over the seeds, over test images."""

    name: str
    recipe: Recipe
    elsewhere: str
    """What it owes to weights and a teacher outside of its recipe, in words. These two: under the first seed."""
    parameters: int
    accuracy: Spread
    accuracy_interval: Interval
    macro_f1: Spread
    macro_f1_interval: Interval
    macro_precision: Spread
    macro_recall: Spread
    accuracy_without_twins: Spread | None
    macro_f1_without_twins: Spread | None
    test_loss: Spread
    """Mean -log p of the true class, calibrated, nats."""
    ece: Spread
    ece_uncalibrated: Spread
    precision_by_class: Mapping[str, Spread]
    recall_by_class: Mapping[str, Spread]
    f1_by_class: Mapping[str, Spread]
    confusion: tuple[tuple[int, ...], ...]
    """True class (row) by answer (column), summed over the seeds."""
    minutes: Spread
    energy_wh: Spread | None
    """These two are of the epochs with labels; None where one of the seeds was not measured."""
    pretraining_minutes: Spread
    pretraining_wh: Spread | None
    repeats: tuple[RepeatFigures, ...]


@dataclass(frozen=True)
class Comparison:
    """comparison.json."""

    split: str
    n: int
    """Test images."""
    twins: int
    """Of them with an identical or nearly identical image in Training."""
    test_digest: str
    dataset: str
    fingerprint: str
    fer2013: bool
    """Whether the test images are those of FER-2013."""
    seeds: tuple[int, ...]
    same_data: bool
    """Whether all models of a seed learned from the same balanced sample."""
    replaced: Mapping[str, Sequence[str]]
    """Name -> settings of the model's own `data` and `balance` that gave way to the first model's, as `key=value`."""
    hardware: tuple[str, ...]
    energy_sources: tuple[str, ...]
    command: str
    models: tuple[ModelFigures, ...]
    gains: tuple[Gain, ...]
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True)


def compare(contest: Contest) -> Comparison:
    """Figures over seeds, and every pair of models on the same test images.

    Raises DataError where two models were scored on other test images than each other, or under other seeds.
    """
    repeats = [repeat for group in contest.models.values() for repeat in group]
    first = contest.first
    evaluation = first.run.evaluation
    seeds = tuple(repeat.seed for repeat in next(iter(contest.models.values())))
    for name, group in contest.models.items():
        if tuple(repeat.seed for repeat in group) != seeds:
            own = [repeat.seed for repeat in group]
            raise DataError(f"{name} has the seeds {own}, others have {list(seeds)}: train it again.")
        if {r.run.evaluation.test_digest for r in group} != {evaluation.test_digest}:
            raise DataError(f"{name} was scored on other test images than {first.run.name}: evaluate it again.")
    labels = first.run.predictions["label"].to_numpy(np.int64)
    given = {name: [answers(repeat) for repeat in group] for name, group in contest.models.items()}
    drawn = resample(labels, given)
    around = mean_intervals(drawn)
    return Comparison(
        split=evaluation.split,
        n=evaluation.figures.n,
        twins=evaluation.twins,
        test_digest=evaluation.test_digest,
        dataset=contest.dataset.info.name,
        fingerprint=contest.dataset.info.fingerprint,
        fer2013=is_fer2013(evaluation),
        seeds=seeds,
        same_data=all(
            len({r.run.summary.sample_sha256 for r in rs}) == 1 for rs in zip(*contest.models.values(), strict=True)
        ),
        replaced=contest.replaced,
        hardware=tuple(sorted({repeat.hardware for repeat in repeats})),
        energy_sources=tuple(sorted({repeat.run.summary.energy_source for repeat in repeats})),
        command=contest.command,
        models=tuple(_model(name, group, *around[name]) for name, group in contest.models.items()),
        gains=gains(labels, given, drawn),
    )


def probabilities(repeat: Repeat) -> npt.NDArray[np.float64]:
    """float64 [N, 7], calibrated, of the test images in order."""
    return repeat.run.predictions[[f"p_{name}" for name in CLASSES]].to_numpy(np.float64)


def answers(repeat: Repeat) -> npt.NDArray[np.int64]:
    """int64 [N], most probable classes."""
    classes: npt.NDArray[np.int64] = probabilities(repeat).argmax(1).astype(np.int64)
    return classes


def _model(name: str, group: Sequence[Repeat], accuracy: Interval, macro_f1: Interval) -> ModelFigures:
    found = [repeat.run.evaluation for repeat in group]
    bare = [e.without_twins for e in found if e.without_twins]
    repeats = tuple(map(_repeat, group))
    return ModelFigures(
        name=name,
        recipe=group[0].recipe,
        elsewhere=group[0].elsewhere,
        parameters=group[0].run.summary.parameters,
        accuracy=spread([e.figures.accuracy for e in found]),
        accuracy_interval=accuracy,
        macro_f1=spread([e.figures.macro_f1 for e in found]),
        macro_f1_interval=macro_f1,
        macro_precision=spread([macro(e)[0] for e in found]),
        macro_recall=spread([macro(e)[1] for e in found]),
        accuracy_without_twins=spread([f.accuracy for f in bare]) if bare else None,
        macro_f1_without_twins=spread([f.macro_f1 for f in bare]) if bare else None,
        test_loss=spread([e.figures.nll for e in found]),
        ece=spread([e.ece for e in found]),
        ece_uncalibrated=spread([e.ece_uncalibrated for e in found]),
        precision_by_class=_by_class(found, "precision"),
        recall_by_class=_by_class(found, "recall"),
        f1_by_class=_by_class(found, "f1"),
        confusion=tuple(map(tuple, np.sum([e.confusion for e in found], axis=0).tolist())),
        minutes=spread([r.minutes for r in repeats]),
        energy_wh=_measured([r.energy_wh for r in repeats]),
        pretraining_minutes=spread([r.pretraining_minutes for r in repeats]),
        pretraining_wh=_measured([r.pretraining_wh for r in repeats]),
        repeats=repeats,
    )


def _measured(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return spread(known) if len(known) == len(values) else None


def _by_class(found: Sequence[Evaluation], figure: str) -> dict[str, Spread]:
    return {name: spread([getattr(e.per_class[k], figure) for e in found]) for k, name in enumerate(CLASSES)}


def _repeat(repeat: Repeat) -> RepeatFigures:
    summary, evaluation = repeat.run.summary, repeat.run.evaluation
    return RepeatFigures(
        seed=repeat.seed,
        run_uri=repeat.run_uri,
        evaluation_uri=repeat.evaluation_uri,
        commit=repeat.commit,
        model_sha256=summary.model_sha256,
        accuracy=evaluation.figures.accuracy,
        macro_f1=evaluation.figures.macro_f1,
        test_loss=evaluation.figures.nll,
        ece=evaluation.ece,
        epochs=summary.epochs,
        best_epoch=summary.best_epoch,
        minutes=summary.seconds / MINUTE,
        energy_wh=summary.energy_wh,
        pretraining=repeat.pretraining,
        pretraining_minutes=repeat.pretraining_s / MINUTE,
        pretraining_wh=repeat.pretraining_wh,
        images_per_second=summary.images_per_second,
        peak_memory_mb=summary.peak_memory_mb,
    )
