"""Recipes over several seeds, and against each other on the same images."""

import tracemalloc

import numpy as np
import pytest

from components.errors import DataError
from components.evaluation import repeats
from components.evaluation.bootstrap import accuracy_of, intervals, macro_f1_of, paired_difference
from components.evaluation.metrics import confusion
from components.evaluation.repeats import PART, Gain, gains, mean_intervals, resample, spread

LABELS = np.repeat(np.arange(7), (90, 12, 100, 180, 130, 80, 120))


def answering(share: float, seed: int) -> np.ndarray:
    """Right on that share of the images, a guess on the others."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(LABELS)) < share, LABELS, rng.integers(0, 7, len(LABELS)))


def compared(runs: dict[str, list[np.ndarray]]) -> tuple[Gain, ...]:
    return gains(LABELS, runs, resample(LABELS, runs))


def test_a_spread_is_mean_range_and_deviation_over_seeds() -> None:
    found = spread([0.60, 0.62, 0.67])
    assert (found.mean, found.low, found.high, found.n) == (pytest.approx(0.63), 0.60, 0.67, 3)
    assert found.sd == pytest.approx(np.std([0.60, 0.62, 0.67], ddof=1))


def test_one_seed_has_no_deviation() -> None:
    assert (spread([0.5]).sd, spread([0.5]).low, spread([0.5]).high) == (0.0, 0.5, 0.5)


def test_a_gain_is_the_difference_of_the_means_over_seeds() -> None:
    runs = {"good": [answering(0.7, s) for s in range(3)], "bad": [answering(0.4, s) for s in range(10, 12)]}
    (gain,) = compared(runs)
    tables = {name: np.stack([confusion(LABELS, run) for run in found]) for name, found in runs.items()}
    assert (gain.ours, gain.theirs) == ("good", "bad")
    assert gain.accuracy == pytest.approx(accuracy_of(tables["good"]).mean() - accuracy_of(tables["bad"]).mean())
    assert gain.macro_f1 == pytest.approx(macro_f1_of(tables["good"]).mean() - macro_f1_of(tables["bad"]).mean())
    assert 0 < gain.macro_f1_interval.low < gain.macro_f1 < gain.macro_f1_interval.high


def test_with_one_seed_each_the_interval_is_the_gates() -> None:
    ours, theirs = answering(0.6, 1), answering(0.5, 2)
    (gain,) = compared({"ours": [ours], "theirs": [theirs]})
    reference = paired_difference(LABELS, ours, theirs)
    assert gain.macro_f1_interval.low == pytest.approx(reference.low, abs=0.006)
    assert gain.macro_f1_interval.high == pytest.approx(reference.high, abs=0.006)


def test_with_one_seed_the_interval_of_the_mean_is_the_evaluations() -> None:
    run = answering(0.6, 1)
    (found,) = mean_intervals(resample(LABELS, {"one": [run]})).values()
    for ours, theirs in zip(found, intervals(LABELS, run), strict=True):
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_the_interval_of_the_mean_lies_around_the_mean_and_is_narrower_than_a_seeds_own() -> None:
    runs = [answering(0.5, s) for s in range(3)]
    accuracy, macro_f1 = mean_intervals(resample(LABELS, {"three": runs}))["three"]
    tables = np.stack([confusion(LABELS, run) for run in runs])
    assert accuracy.low < accuracy_of(tables).mean() < accuracy.high
    assert macro_f1.low < macro_f1_of(tables).mean() < macro_f1.high
    for own, _ in (intervals(LABELS, run) for run in runs):
        assert accuracy.high - accuracy.low < own.high - own.low


def test_a_recipe_gains_nothing_over_itself_on_any_resample() -> None:
    run = answering(0.6, 5)
    (gain,) = compared({"once": [run], "again": [run]})
    assert (gain.accuracy_interval.low, gain.accuracy_interval.high, gain.macro_f1) == (0, 0, 0)


def test_every_pair_stands_once_and_the_same_call_gives_the_same() -> None:
    runs = {name: [answering(0.5, k)] for k, name in enumerate("abc")}
    found = compared(runs)
    assert [(g.ours, g.theirs) for g in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert compared(runs) == found


@pytest.mark.parametrize("runs", [[], [LABELS[:-1]]], ids=["none", "one short"])
def test_answers_to_other_images_are_refused(runs: list[np.ndarray]) -> None:
    with pytest.raises(DataError, match=f"bad has no answers.*{len(LABELS)}"):
        resample(LABELS, {"good": [LABELS], "bad": runs})


def test_a_resample_scores_its_images_as_often_as_they_are_drawn() -> None:
    run = answering(0.6, 3)
    accuracy, macro_f1 = resample(LABELS, {"one": [run]}, seed=4)["one"]
    times = np.random.default_rng(4).multinomial(len(LABELS), np.full(len(LABELS), 1 / len(LABELS)))
    table = confusion(np.repeat(LABELS, times), np.repeat(run, times))
    assert (accuracy[0], macro_f1[0]) == (accuracy_of(table), macro_f1_of(table))


def test_many_runs_add_little_to_the_memory_of_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "RESAMPLES", PART)
    labels, runs = np.tile(LABELS, 10), [np.tile(answering(0.5, s), 10) for s in range(40)]
    tracemalloc.start()
    try:
        resample(labels, {"many": runs})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    draws = 8 * PART * len(labels)
    assert peak < 4 * draws, f"{peak / draws:.1f} times the draws of a part"
