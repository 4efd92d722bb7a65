"""Each kind of drift is found as what it is, and what is none is left alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from components.drift import DriftPolicy, DriftReport, Reference, detect, figures, running
from components.drift.measure import COLUMNS, noise, share_distance, wasserstein
from components.drift.quality import estimate

POLICY = DriftPolicy()


def test_a_window_without_drift_is_quiet(reference, make_window) -> None:
    report = detect(reference, make_window(labels=200), POLICY)
    assert (report.drifted, report.kinds, report.share) == (False, (), 0.0)
    assert {finding.check for finding in report.findings} == set(type(POLICY.checks).model_fields)


@pytest.mark.parametrize(
    ("shift", "check", "kind"),
    [
        ({"darker": 20}, "brightness", "covariate"),
        ({"flatter": 7}, "contrast", "covariate"),
        ({"blurrier": 0.4}, "sharpness", "covariate"),
        ({"moved": 1.0}, "embedding", "covariate"),
        ({"happy": 0.5}, "answers", "prediction"),
        ({"unsure": 0.1}, "confidence", "prediction"),
        ({"unsure": 0.1}, "uncertain", "prediction"),
        ({"labels": 200, "wrong": True}, "accuracy", "quality"),
        ({"labels": 200, "wrong": True}, "macro_f1", "quality"),
        ({"labels": 200, "wrong": True}, "calibration", "quality"),
        ({"labels": 300, "happy": 0.7}, "labels", "label"),
    ],
)
def test_a_shift_is_found_as_what_it_is(reference, make_window, shift, check, kind) -> None:
    report = detect(reference, make_window(**shift), POLICY)
    found = {finding.check: finding for finding in report.findings if finding.drifted}
    assert found[check].kind == kind
    assert found[check].value > found[check].threshold


def test_covariate_drift_alone_says_nothing_of_answers_or_quality(reference, make_window) -> None:
    assert detect(reference, make_window(darker=20, labels=200), POLICY).kinds == ("covariate",)


def test_a_warning_is_shown_and_does_not_make_a_window_drift(reference, make_window) -> None:
    checks = POLICY.checks.model_copy(
        update={name: check.model_copy(update={"severity": "warning"}) for name, check in POLICY.checks}
    )
    report = detect(reference, make_window(darker=20), POLICY.model_copy(update={"checks": checks}))
    assert (report.drifted, report.alarms, report.kinds) == (False, (), ("covariate",))


def test_a_check_that_is_off_is_not_looked_at(reference, make_window) -> None:
    off = POLICY.checks.brightness.model_copy(update={"severity": "off"})
    policy = POLICY.model_copy(update={"checks": POLICY.checks.model_copy(update={"brightness": off})})
    assert "brightness" not in {f.check for f in detect(reference, make_window(darker=20), policy).findings}


def test_few_labels_measure_nothing_and_the_estimate_stands_alone(reference, make_window) -> None:
    report = detect(reference, make_window(labels=POLICY.window.labelled - 1), POLICY)
    assert report.quality is None
    assert 0 < report.estimate.accuracy < 1
    assert not {"accuracy", "labels"} & {finding.check for finding in report.findings}


def test_a_model_without_an_embedding_is_watched_all_the_same(reference, make_window) -> None:
    report = detect(Reference(reference.table, None), make_window(darker=20), POLICY)
    assert report.alarms == ("brightness",)


def test_tags_are_looked_at_apart(reference, make_window) -> None:
    window = make_window(rows=1500, tags=("door", "desk", ""))
    dark = window.table["tag"] == "door"
    window.table.loc[dark, "brightness"] -= 30
    slices = {each.tag: each for each in detect(reference, window, POLICY).slices}
    assert set(slices) == {"door", "desk"}
    assert (slices["door"].drifted, slices["desk"].drifted) == (("brightness",), ())


def test_a_report_survives_its_json(reference, make_window) -> None:
    report = detect(reference, make_window(rows=1000, labels=200, tags=("door", "desk")), POLICY)
    assert DriftReport.from_json(report.to_json()) == report


def test_figures_hold_quality_only_where_labels_came(reference, make_window) -> None:
    without, with_labels = (figures(detect(reference, make_window(labels=n), POLICY)) for n in (0, 200))
    assert "accuracy" not in without
    assert set(with_labels) - set(without) >= {"accuracy", "macro-F1", "calibration error", "labelled"}


def test_noise_falls_with_the_window_and_a_difference_below_the_effect_is_no_drift(reference, make_window) -> None:
    small, large = (noise(reference, "brightness", rows, 0.02) for rows in (100, 100_000))
    assert large < small / 2
    report = detect(reference, make_window(rows=20_000, darker=1), POLICY)  # seen, and of no interest
    assert "brightness" not in report.alarms


def test_no_hurdle_is_lower_than_the_noise_of_so_few_rows(reference, make_window) -> None:
    rows = 100
    found = {finding.check: finding for finding in detect(reference, make_window(rows=rows), POLICY).findings}
    for name, (column, _) in COLUMNS.items():
        effect, chance = getattr(POLICY.checks, name).effect, noise(reference, column, rows, POLICY.false_alarm)
        assert found[name].threshold == max(effect, chance), name
        assert chance > effect, name
    assert found["embedding"].threshold > POLICY.checks.embedding.effect


def test_false_alarms_stay_rare_and_half_a_shift_is_found(reference, make_window) -> None:
    """The small form of benchmarks/alarms.py."""
    calm = [detect(reference, make_window(seed=100 + k), POLICY).drifted for k in range(10)]
    assert sum(calm) == 0
    found = [detect(reference, make_window(seed=200 + k, darker=8), POLICY).drifted for k in range(5)]
    assert all(found)


def test_windows_on_end_are_counted_and_overlapping_ones_are_not(reference, make_window) -> None:
    days = [detect(reference, make_window(day=k, darker=20), POLICY) for k in range(3)]
    quiet = detect(reference, make_window(day=2), POLICY)
    assert running(days[2], days[:2]) == 3
    assert running(days[2], [days[0], days[2]]) == 2, "a report of the same window does not count twice"
    assert running(quiet, days[:2]) == 0
    assert running(detect(reference, make_window(day=3, darker=20), POLICY), [*days[:2], quiet]) == 1
    assert running(detect(reference, make_window(day=3, darker=20, version="4"), POLICY), days) == 1


@given(st.integers(2, 400), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_a_sample_has_no_distance_from_itself_and_distances_are_bounded(rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=rows), rng.normal(size=rows)
    assert wasserstein(one, one) == 0
    assert wasserstein(one, other) >= 0
    classes, others = rng.integers(0, 7, rows).astype(float), rng.integers(0, 7, rows).astype(float)
    assert share_distance(classes, classes) < 1e-6
    assert 0 <= share_distance(classes, others) <= np.sqrt(np.log(2)) + 1e-9


def test_the_estimate_is_right_where_probabilities_are() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(7, 0.4), 60_000).astype(np.float32)
    truth = (probabilities.cumsum(1) > rng.random((60_000, 1))).argmax(1)
    answers, guess = probabilities.argmax(1), estimate(probabilities)
    assert guess.accuracy == pytest.approx((answers == truth).mean(), abs=0.01)
    assert guess.macro_f1 == pytest.approx(f1_score(truth, answers, average="macro"), abs=0.01)
