"""`ferline` as a person types it: help, exit codes, one JSON document, words for what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from components import errors
from components.labels import CLASSES, SPLITS
from flows.cli import app
from flows.console import EXIT_CODES, exit_code

RUNNER = CliRunner()


def commands(group: typer.Typer, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command, as the words that call it."""
    own = [(*prefix, c.name or c.callback.__name__) for c in group.registered_commands if c.callback]
    return own + [c for g in group.registered_groups if g.typer_instance for c in commands(g.typer_instance, (g.name,))]


@pytest.mark.parametrize("words", commands(app), ids=" ".join)
def test_every_command_has_help_with_an_example(words: tuple[str, ...]) -> None:
    shown = RUNNER.invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert f"Example: ferline {' '.join(words)}" in shown.output


def test_every_error_has_an_exit_code_that_means_something() -> None:
    codes = {kind: exit_code(kind("x")) for kind, _, _ in EXIT_CODES}
    assert codes[errors.ValidationFailed] == 3
    assert codes[errors.GateError] == 4
    assert codes[errors.ModelNotFound] == 5
    assert codes[errors.StoreError] == exit_code(errors.StoreUnreachable("x")) == 6
    assert 0 not in codes.values()


def test_presets_are_listed_with_what_they_are_for() -> None:
    listed = json.loads(RUNNER.invoke(app, ["presets", "--json"]).output)
    assert {"compact", "quick", "quick-resnet18", "quick-vgg16"} <= set(listed)
    assert all(len(line) > 20 for line in listed.values())


def test_where_names_every_place_below_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERLINE_HOME", str(tmp_path / "here"))
    places = json.loads(RUNNER.invoke(app, ["where", "--json"]).output)
    assert set(places) == {"home", "store", "registry", "environment", "prefect"}
    assert all(str(tmp_path / "here") in places[name] for name in ("home", "store", "registry", "prefect"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "no-such-flow"), 2, "train-pipeline"),
        (("data", "ingest", "/no/such/file.csv"), 2, "no source"),
        (("data", "ingest", "synthetic:nose=2"), 2, "nose"),
        (("data", "describe", "datasets/0000"), 6, "nothing complete"),
        (("train", "--preset", "compcat", "--data", "x", "--out", "y"), 2, "Did you mean compact"),
        (("train", "--data", "x", "--out", "y", "--set", "optimizer.rl=1"), 2, "optimizer.lr"),
        (("models", "show", "champion"), 5, "none yet"),
        (("models", "rollback"), 5, "none yet"),
    ],
)
def test_what_is_wrong_is_said_in_words(bench, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = bench.ferline(*arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_in_brackets_is_said_as_it_is(bench, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in CLASSES:
        for split in SPLITS:
            folder = tmp_path / "faces" / split / name
            folder.mkdir(parents=True)
            Image.fromarray(random.integers(0, 256, (48, 48), np.uint8)).save(folder / "a.png")
    (tmp_path / "faces" / SPLITS[0] / "happy" / "face [copy].png").write_bytes(b"no picture")
    done = bench.ferline("data", "ingest", str(tmp_path / "faces"), "--skip-bad")
    assert done.returncode == 0, done.stderr
    assert "face [copy].png" in done.stdout


def test_an_error_with_json_is_one_json_document(bench) -> None:
    done = bench.ferline("data", "ingest", "/no/such/file.csv", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["type"] == "DataError"


def test_ingest_describe_and_validate_speak_json(bench) -> None:
    made = bench.document("data", "ingest", "synthetic:images=700,seed=3")
    assert made["images"] == sum(n for split in made["counts"].values() for n in split.values()) == 700
    assert set(made) >= {"uri", "fingerprint", "images", "counts", "skipped"}
    assert bench.document("data", "describe", made["uri"])["fingerprint"] == made["fingerprint"]
    judged = bench.document("data", "validate", made["uri"])
    assert judged["passed"] is True
    assert set(judged) >= {"findings", "extra_copies", "conflicting_groups", "constant", "leaked"}
    assert set(judged["leaked"]) == {"PublicTest", "PrivateTest"}


def test_progress_without_a_terminal_is_plain_lines_on_standard_error(bench) -> None:
    done = bench.ferline("data", "ingest", "synthetic:images=700,seed=3")
    assert "perceptual hashes: 700 of 700" in done.stderr
    assert "\x1b" not in done.stderr + done.stdout
