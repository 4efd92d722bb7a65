"""Spaces in text form, presets as files, and a study that goes on after its process died."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import RecipeError, SettingsError
from components.search.pictures import draw
from components.search.records import PAPER, Dimension, Pruned, Trial, Value, assignments, most_epochs, parse_space
from components.search.study import Study, alone
from components.training.recipes import load_preset, override, preset_names, preset_source

BASE = load_preset("quick")
SPACE = parse_space(BASE, ["optimizer.lr=1e-4..1e-2:log", "batch_size=32|64", "schedule.plateau_patience=2..5"])


def test_every_range_of_the_paper_is_one_of_its_recipe_keys() -> None:
    space = {dimension.key: dimension for dimension in parse_space(BASE, PAPER)}
    assert space["optimizer.lr"] == Dimension("optimizer.lr", "float", 3e-5, 0.01, log=True)
    assert space["batch_size"].choices == ("32", "64")
    assert (space["balance.max_class_limit"].low, space["balance.max_class_limit"].high) == (0.35, 0.60)
    assert (space["schedule.plateau_patience"].kind, space["schedule.plateau_patience"].high) == ("int", 5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimiser.lr=1e-4..1e-2", "optimizer.lr"),
        ("optimizer.lr", "no dimension"),
        ("optimizer.lr=1e-2..1e-4", "lower end"),
        ("optimizer.lr=0.001..99", "must lie between"),
        ("batch_size=32|many", "must be int"),
        ("schedule.step_epochs=0.5..x", "must be float"),
    ],
)
def test_a_dimension_that_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        parse_space(BASE, [text])


def test_a_range_is_of_its_keys_kind_whatever_the_preset_says() -> None:
    """Presets write a whole number where a float is meant."""
    assert parse_space(BASE, ["schedule.warmup_epochs=0.2..0.8"])[0].kind == "float"
    assert parse_space(BASE, ["batch_size=32..64"])[0].kind == "int"


@pytest.mark.parametrize(
    ("dimension", "most"),
    [("epochs=3..40", 40), ("epochs=3..40:log", 40), ("epochs=5|30|9", 30), ("batch_size=32|64", BASE.epochs)],
)
def test_the_longest_trial_is_as_long_as_the_space_allows(dimension: str, most: int) -> None:
    assert most_epochs(BASE, parse_space(BASE, [dimension])) == most


def test_a_key_stands_in_a_space_once_and_some_key_does() -> None:
    with pytest.raises(RecipeError, match="twice"):
        parse_space(BASE, ["batch_size=32|64", "batch_size=16|32"])
    with pytest.raises(RecipeError, match="empty"):
        parse_space(BASE, [])


@given(lr=st.floats(1e-6, 1.0), epochs=st.integers(1, 500), flips=st.booleans(), name=st.sampled_from(preset_names()))
def test_a_recipe_written_as_a_preset_is_the_same_recipe(lr: float, epochs: int, flips: bool, name: str) -> None:
    recipe = override(load_preset(name), assignments({"optimizer.lr": lr, "epochs": epochs, "test_flips": flips}))
    module: dict[str, object] = {}
    exec(preset_source(recipe, "Found."), module)
    assert module["RECIPE"] == recipe
    assert module["__doc__"] == "Found.\n"


def _open(folder: Path) -> Study:
    return Study(folder / "study.log", "one", SPACE, seed=0, prune=True)


def test_a_trial_that_was_running_when_its_process_died_is_tried_again(tmp_path: Path) -> None:
    first = _open(tmp_path)
    first.ask().complete(0.4)
    lost = first.ask()
    lost.report(0.3, 1)
    again = _open(tmp_path)  # the process that asked is gone
    assert [trial.state for trial in again.trials()][:2] == ["complete", "failed"]
    retried = again.ask()
    assert retried.values == lost.values
    retried.complete(0.5)
    best = again.best()
    assert best is not None
    assert (best.number, best.macro_f1, again.done) == (retried.number, 0.5, 2)


def test_of_two_searches_at_one_study_the_second_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "study.log"
    with alone(file):
        running = _open(tmp_path).ask()
        with pytest.raises(SettingsError, match=rf"another process is at this search \({file}\)"), alone(file):
            pytest.fail("both are at it")
    running.complete(0.4)
    with alone(file):
        assert _open(tmp_path).done == 1


def test_a_study_that_goes_on_does_not_draw_its_first_trials_again(tmp_path: Path) -> None:
    first = _open(tmp_path)
    drawn = [first.ask() for _ in range(3)]
    for asked in drawn:
        asked.complete(0.1)
    assert _open(tmp_path).ask().values["optimizer.lr"] not in [asked.values["optimizer.lr"] for asked in drawn]


def test_a_trial_that_was_run_elsewhere_is_known_by_its_name(tmp_path: Path) -> None:
    values: dict[str, Value] = {"optimizer.lr": 1e-3, "batch_size": "32", "schedule.plateau_patience": 3}
    study = _open(tmp_path)
    study.ask().complete(0.1)
    study.add(Trial(0, "complete", values, 0.7, 4), "abc_0001")
    again = _open(tmp_path)
    assert "abc_0001" in again.ids
    best = again.best()
    assert best is not None
    assert (best.values, best.macro_f1, again.done) == (values, 0.7, 2)


def test_what_does_worse_than_half_is_stopped_and_what_does_better_is_not(tmp_path: Path) -> None:
    study = _open(tmp_path)
    for score in (0.5, 0.6, 0.7, 0.8):
        asked = study.ask()
        for epoch in (1, 2, 3):
            asked.report(score, epoch)
        asked.complete(score)
    good, bad = study.ask(), study.ask()
    for epoch in (1, 2, 3):
        good.report(0.9, epoch)
    good.complete(0.9)
    bad.report(0.1, 1)
    with pytest.raises(Pruned):
        bad.report(0.1, 2)
    bad.prune()
    assert [trial.state for trial in study.trials()][-2:] == ["complete", "pruned"]
    assert [file.name for file in draw(study, tmp_path)] == ["history.png", "importance.png", "parallel.png"]


def test_one_trial_makes_no_picture(tmp_path: Path) -> None:
    study = _open(tmp_path)
    study.ask().complete(0.5)
    assert draw(study, tmp_path) == []
