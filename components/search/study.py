"""An Optuna study in one append-only file: ask, report, tell; what a killed search left is tried again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from components.errors import SettingsError
from components.search.records import Dimension, Pruned, Trial, Value

STARTUP, WARMUP = 4, 2
"""Trials that are never cut short, and the epoch, from 1, at which each other one is first judged (median rule, Golovin
et al. 2017)."""
_ID = "elsewhere"
_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def sampler(seed: int) -> optuna.samplers.BaseSampler:
    """What chooses the next trial: TPE after the first few (Bergstra et al. 2011)."""
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)


def distributions(space: Sequence[Dimension]) -> dict[str, optuna.distributions.BaseDistribution]:
    """A space in Optuna's words."""
    return {dimension.key: _distribution(dimension) for dimension in space}


def _distribution(dimension: Dimension) -> optuna.distributions.BaseDistribution:
    match dimension.kind:
        case "int":
            return optuna.distributions.IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
        case "float":
            return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)
        case _:
            return optuna.distributions.CategoricalDistribution(dimension.choices)


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Be the only process of this machine that goes on with a study; raises SettingsError where another one does.

    Opening a study takes the trials of one that is at work for lost.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(file.with_suffix(".lock")).acquire(timeout=0)
    except Timeout as error:
        raise SettingsError(
            f"another process is at this search ({file}): wait for its end and start again, with more --trials for a "
            "longer one; or search otherwise, say with another --seed."
        ) from error
    with held:
        yield


class Study:
    """Trials of one space, each chosen after those before it (TPE, Bergstra et al. 2011)."""

    def __init__(self, file: Path, name: str, space: Sequence[Dimension], seed: int, prune: bool) -> None:
        """Open the study, or make it. Trials that were running when its process died are put first in line again."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        file.parent.mkdir(parents=True, exist_ok=True)
        pruner = optuna.pruners.MedianPruner(STARTUP, WARMUP) if prune else optuna.pruners.NopPruner()
        self.space = space
        self.study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(file))),
            study_name=name,
            direction="maximize",
            pruner=pruner,
            load_if_exists=True,
        )
        # A sampler that starts anew after a stop must not draw the first trials once more.
        self.study.sampler = sampler(seed + len(self.study.get_trials(deepcopy=False)))
        for lost in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.enqueue_trial(lost.params)
            self.study.tell(lost.number, state=TrialState.FAIL)

    @property
    def done(self) -> int:
        """Trials that ended by themselves."""
        return sum(trial.state in ("complete", "pruned") for trial in self.trials())

    def ask(self) -> "Asked":
        """The next trial."""
        trial = self.study.ask(distributions(self.space))
        return Asked(self.study, trial, dict(trial.params))

    @property
    def ids(self) -> set[str]:
        """Names of the trials that were run elsewhere and are on record."""
        return {trial.user_attrs.get(_ID, "") for trial in self.study.get_trials(deepcopy=False)}

    def add(self, trial: Trial, name: str) -> None:
        """Put a trial on record that was run elsewhere, under its name there."""
        self.study.add_trial(
            optuna.trial.create_trial(
                state=next(state for state, name in _STATES.items() if name == trial.state),
                params=trial.values,
                distributions=distributions(self.space),
                value=trial.macro_f1,
                intermediate_values={trial.epochs: trial.macro_f1 or 0.0} if trial.epochs else {},
                user_attrs={_ID: name},
            )
        )

    def trials(self) -> tuple[Trial, ...]:
        """All of them, in order."""
        return tuple(_record(trial) for trial in self.study.get_trials(deepcopy=False))

    def best(self) -> Trial | None:
        """The complete trial of the highest macro-F1."""
        complete = [trial for trial in self.trials() if trial.macro_f1 is not None]
        return max(complete, key=lambda trial: trial.macro_f1 or 0.0, default=None)


class Asked:
    """A trial that is under way."""

    def __init__(self, study: optuna.Study, trial: optuna.Trial, values: dict[str, Value]) -> None:
        self._study, self._trial, self.values = study, trial, values
        self.number = trial.number

    def report(self, score: float, epoch: int) -> None:
        """A figure on the way, comparable between trials at the same epoch. Raises Pruned."""
        self._trial.report(score, epoch)
        if self._trial.should_prune():
            raise Pruned

    def complete(self, macro_f1: float) -> None:
        self._study.tell(self._trial, macro_f1)

    def prune(self) -> None:
        self._study.tell(self._trial, state=TrialState.PRUNED)

    def fail(self) -> None:
        self._study.tell(self._trial, state=TrialState.FAIL)


def _record(trial: FrozenTrial) -> Trial:
    complete = trial.state == TrialState.COMPLETE
    return Trial(
        number=trial.number,
        state=_STATES.get(trial.state, "running"),  # type: ignore[arg-type]
        values=dict(trial.params),
        macro_f1=trial.value if complete else None,
        epochs=max(trial.intermediate_values, default=0),
    )
