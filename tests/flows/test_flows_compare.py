"""compare-models as a person runs it: killed after a training, run again, and once more from the cache."""

import json
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.dataset import Dataset
from components.registry import Registry

pytestmark = pytest.mark.timeout(600)  # one fixture trains four models in two processes

PRESETS, SEEDS = ("vit-warmup-48", "vgg16-48"), (0, 1)
CALL = (
    "compare", "--source", "synthetic:images=700,seed=3", "--tiny", "--set", "epochs=1", "--seeds", "0,1",
    "--preset", PRESETS[0], "--preset", PRESETS[1],
)  # fmt: skip
Compared = tuple[Any, dict[str, Any], "subprocess.CompletedProcess[str]", dict[str, float]]


def kill_after_the_first_training(bench: Any) -> dict[str, float]:
    """What is in the store then: run folder -> time of its model."""
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen(bench.command(*CALL), env=bench.environment, **silent)
    deadline = time.monotonic() + 250
    try:
        while not list(bench.home.glob("runs/*/recipe.json")) or not list(bench.home.glob("store/evaluations/*")):
            assert child.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline, "no training ended in time"
            time.sleep(0.05)
    finally:
        for process in [*psutil.Process(child.pid).children(recursive=True), child]:
            process.send_signal(signal.SIGKILL)
        child.wait()
    return {path.parent.name: path.stat().st_mtime for path in bench.home.glob("store/runs/*/model.onnx")}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, open_bench: Any) -> Compared:
    """A home in which the second call finished what the first, killed one had begun."""
    bench = open_bench(tmp_path_factory.mktemp("compared"))
    before = kill_after_the_first_training(bench)
    done = bench.ferline(*CALL, "--out", str(bench.root / "results"), "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    return bench, json.loads(done.stdout), done, before


@pytest.mark.e2e
def test_after_kill_9_the_same_call_goes_on_and_ends_with_every_model(compared: Compared) -> None:
    _, outcome, done, before = compared
    assert [(e["preset"], e["seed"]) for e in outcome["entrants"]] == [(p, s) for p in PRESETS for s in SEEDS]
    assert len(before) == 1
    kept = {Path(e["run_uri"]).name: (Path(e["run_uri"]) / "model.onnx").stat().st_mtime for e in outcome["entrants"]}
    assert before.items() <= kept.items()
    assert done.stderr.count(" epoch 1:") == len(kept) - len(before)


@pytest.mark.e2e
def test_every_model_of_a_seed_learned_from_the_same_sample(compared: Compared) -> None:
    _, outcome, *_ = compared
    summaries = {
        (e["preset"], e["seed"]): json.loads((Path(e["run_uri"]) / "summary.json").read_text())
        for e in outcome["entrants"]
    }
    samples = {key: summary["sample_sha256"] for key, summary in summaries.items()}
    assert all(len({samples[preset, seed] for preset in PRESETS}) == 1 for seed in SEEDS)
    assert samples[PRESETS[0], 0] != samples[PRESETS[0], 1]


@pytest.mark.e2e
def test_the_report_tells_images_and_seeds_and_looks_at_public_test_alone(compared: Compared) -> None:
    bench, outcome, *_ = compared
    folder = Path(outcome["report"])
    record = json.loads((folder / "comparison.json").read_text())
    assert (record["split"], record["n"], record["seeds"]) == ("PublicTest", 70, [0, 1])
    text = (folder / "comparison.md").read_text()
    assert "## The models" in text
    assert "## The ViT's regimes" in text
    assert text.count("PublicTest, n = 70; seeds 0, 1.") == text.count("\n| --- |")
    assert "rollout of vit-warmup-48" in (folder / "report.html").read_text()
    assert not list(bench.home.glob("store/evaluations/*PrivateTest*"))


@pytest.mark.e2e
def test_mlflow_holds_the_comparison_with_its_files_beside_the_trainings(compared: Compared) -> None:
    bench, outcome, *_ = compared
    registry = Registry(f"sqlite:///{bench.home / 'mlflow.db'}", bench.home / "mlflow-artifacts", "ferline-fer")
    runs = registry.client.search_runs([registry.experiment_id])
    (parent,) = [run for run in runs if run.data.tags["ferline.key"].startswith("comparison-")]
    children = {value for name, value in parent.data.params.items() if name.startswith("run/")}
    assert children == {run.info.run_id for run in runs} - {parent.info.run_id}
    assert {"vit-warmup-48/macro_f1", "vgg16-48/test_loss"} <= set(parent.data.metrics)
    files = {file.path for file in registry.client.list_artifacts(parent.info.run_id)}
    assert files == {path.name for path in Path(outcome["report"]).iterdir()} - {"_index.json"}
    assert registry.versions() == ()


@pytest.mark.e2e
def test_a_third_call_trains_nothing_and_ends_with_the_same_comparison(compared: Compared) -> None:
    bench, outcome, *_ = compared
    results = bench.root / "results"
    names = {path.name for path in results.iterdir()}
    assert names == {"comparison.md", "comparison.html", *(path.name for path in Path(outcome["report"]).glob("*.png"))}
    done = bench.ferline(*CALL, "--out", str(results), "--json")
    assert json.loads(done.stdout) == outcome
    assert " epoch 1:" not in done.stderr
    assert {path.name for path in results.iterdir()} == names


def test_own_data_leaves_each_preset_its_own_and_what_else_gives_way_is_named() -> None:
    from components.training.recipes import load_preset
    from flows.compare import entrants, replaced
    from flows.parameters import ComparisonParameters

    presets = ("vit-baseline-48", "resnet18-48")
    shared, own = (ComparisonParameters(presets, (4,), same_data=same) for same in (True, False))
    assert replaced(shared) == {"resnet18-48": ["data.copies=first", "balance.method=none"]}
    assert replaced(own) == {}
    assert entrants(shared)["resnet18-48", 4].data == load_preset("vit-baseline-48").data
    ours = entrants(own)["resnet18-48", 4]
    assert (ours.data, ours.balance) == (load_preset("resnet18-48").data, load_preset("resnet18-48").balance)


@pytest.mark.parametrize("key", ["model.pretrained", "distill.teacher"])
def test_a_teacher_that_knows_another_seeds_validation_images_is_refused_before_the_first_round(
    key: str, tmp_path: Path
) -> None:
    from components.errors import RecipeError
    from components.training.recipes import compose
    from flows.compare import entrants
    from flows.parameters import ComparisonParameters

    (tmp_path / "recipe.json").write_text(compose("quick", [], small=True).to_json())
    one = ComparisonParameters(("quick",), (0,), (f"{key}={tmp_path}",), tiny=True)
    assert list(entrants(one)) == [("quick", 0)]
    with pytest.raises(RecipeError, match="its seed is 0 and this one's 1"):
        entrants(replace(one, seeds=(0, 1)))


@pytest.mark.parametrize(("word", "same"), [((), True), (("--own-data",), False)])
def test_the_command_keeps_each_presets_own_data_where_it_is_asked_to(
    word: tuple[str, ...], same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from flows import cli_compare
    from flows.cli import app

    asked = []
    monkeypatch.setattr(cli_compare, "run_comparison", lambda data, comparison: asked.append(comparison))
    CliRunner().invoke(app, ["compare", "--preset", "hybrid", "--json", *word])
    assert [comparison.same_data for comparison in asked] == [same]


def test_the_command_that_repeats_a_comparison_names_its_data_and_no_folder(tiny_dataset: Dataset) -> None:
    from flows.compare import _command
    from flows.parameters import ComparisonParameters

    comparison = ComparisonParameters(("quick",), (0,), ("model.pretrained=/home/somebody/run",), same_data=False)
    words = _command(tiny_dataset, comparison)
    assert words.endswith("--preset quick --seeds 0 --set model.pretrained=run --own-data")


def test_what_is_no_run_of_ours_has_no_recipe(tmp_path: Path) -> None:
    from components.training.recipes import load_preset
    from flows.compare import _run_of

    assert _run_of(str(tmp_path)) is None
    (tmp_path / "recipe.json").write_text(load_preset("hybrid").to_json())
    assert _run_of(str(tmp_path)) == load_preset("hybrid")
    assert _run_of("google/vit-base-patch16-224-in21k") is None
    assert _run_of("s3://elsewhere/runs/gone") is None


def test_a_pretraining_is_read_with_its_energy_where_every_epoch_has_one(tmp_path: Path) -> None:
    from flows.compare import pretraining_of

    assert pretraining_of(tmp_path) == ("", 0, 0)
    lines = [{"epoch": 1, "seconds": 60.0, "energy_wh": 1.5}, {"epoch": 2, "seconds": 30.0, "energy_wh": 0.5}]
    (tmp_path / "pretrain.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    digest, *spent = pretraining_of(tmp_path)
    assert (len(digest), spent) == (64, [90, 2])
    del lines[0]["energy_wh"]
    (tmp_path / "pretrain.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert pretraining_of(tmp_path)[1:] == (90, None)


def test_what_is_wrong_is_said_before_anything_starts(bench: Any, tmp_path: Path) -> None:
    done = bench.ferline("compare", "--preset", "vit-warmpu-48")
    assert (done.returncode, "Did you mean vit-warmup-48" in done.stderr) == (2, True), done.stderr
    assert not (bench.home / "prefect").exists()


@pytest.mark.parametrize("name", ["comparison.md", "comparison.html"])
def test_somebody_elses_files_are_not_overwritten(name: str, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from flows.cli import app

    (tmp_path / name).write_text("my own notes")
    done = CliRunner().invoke(app, ["compare", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert f"{name} of another origin" in done.output
    assert (tmp_path / name).read_text() == "my own notes"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--seeds", "0,0"), "none twice"),
        (("--seeds", "one"), "no list of whole numbers"),
        (("--set", "seed=3"), "comparison.seeds"),
        (("--preset", "quick", "--preset", "quick"), "none twice"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: tuple[str, ...], words: str) -> None:
    from typer.testing import CliRunner

    from flows.cli import app

    done = CliRunner().invoke(app, ["compare", *arguments])
    assert (done.exit_code, words in done.output) == (2, True), done.output
