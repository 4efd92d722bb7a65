"""Challengers that wait, are rejected, forced, come from elsewhere, or are killed on the way."""

import json
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.flows.conftest import TINY, Bench, Promoted

pytestmark = pytest.mark.e2e  # each runs whole pipelines
STRICT = "gate: {macro_f1_floor: 0.99}\n"


def test_a_challenger_may_wait_for_a_promotion_by_hand_and_be_rolled_back(promoted: Promoted) -> None:
    bench, _ = promoted
    waiting = bench.document(*TINY, "--set", "seed=4", "--no-promote")
    assert (waiting["verdict"], waiting["champion"]) == ("Waiting", "1")
    assert bench.document("models", "promote", "challenger") == {"champion": "2"}
    assert bench.document("models", "rollback", "--reason", "complaints") == {"champion": "1"}
    moves = [(e["action"], e["to_version"]) for e in bench.document("models", "history") if e["action"] != "register"]
    assert moves == [("promote", "1"), ("promote", "2"), ("rollback", "1")]


def test_a_rejected_challenger_is_kept_and_marked_and_the_champion_stays(promoted: Promoted) -> None:
    bench, _ = promoted
    bench.gate(STRICT)
    done = bench.ferline(*TINY, "--set", "seed=5", "--json")
    outcome = json.loads(done.stdout)
    assert (done.returncode, outcome["verdict"], outcome["champion"]) == (4, "Rejected", "1")
    assert "Finished in state Rejected" in done.stderr
    statuses = {v["version"]: v["status"] for v in bench.document("models", "list")}
    assert statuses["3"] == "rejected"
    assert statuses["1"] == "champion"


def test_a_rejected_one_is_promoted_by_force_with_a_reason_alone(promoted: Promoted) -> None:
    bench, _ = promoted
    assert bench.ferline("models", "promote", "3").returncode == 4
    assert bench.ferline("models", "promote", "3", "--force").returncode == 4
    assert bench.document("models", "promote", "3", "--force", "--reason", "a try") == {"champion": "3"}
    last = bench.document("models", "history")[-1]
    assert (last["forced"], last["reason"]) == (True, "a try")


def test_drawn_faces_replace_no_model_of_photographs_by_themselves(bench: Bench) -> None:
    assert bench.document("models", "import-release")["aliases"] == ["champion"]
    done = bench.ferline(*TINY, "--preset", "quick-resnet18", "--json")
    outcome = json.loads(done.stdout)
    assert (outcome["verdict"], outcome["champion"]) == ("Waiting", "1")
    assert "drawn faces alone make no model champion" in done.stderr
    assert bench.document("models", "promote", "challenger") == {"champion": "2"}


def test_labels_are_audited_and_a_run_trained_elsewhere_without_the_worst_goes_on_to_the_gate(
    promoted: Promoted, tmp_path: Path, lenient_policy: Path
) -> None:
    bench, outcome = promoted
    bench.gate((lenient_policy / "gate.yaml").read_text())  # another test left a strict one
    audit = ("data", "audit", outcome["dataset_uri"], "--tiny", "--folds", "2", "--set", "epochs=1")
    found = bench.document(*audit)
    assert found["images"] == 560
    assert {path.name for path in Path(found["uri"]).iterdir()} >= {"audit.json", "exclude.csv", "sheet.png"}
    elsewhere = tmp_path / "elsewhere"
    sets = ("--set", f"data.exclude={found['uri']}", "--set", "epochs=1")
    bench.document("train", "--tiny", "--data", outcome["dataset_uri"], "--out", str(elsewhere), *sets)
    judged = bench.document(*TINY[:4], "--from-run", str(elsewhere), "--no-promote")
    assert [candidate["name"] for candidate in judged["candidates"]] == ["quick (elsewhere)"]
    assert judged["verdict"] == "Waiting"
    page = (Path(judged["report"]) / "report.html").read_text()
    assert "stand in the recipe" in page
    assert found["found"] > 0
    again = bench.ferline(*audit)
    assert "holds the finished audit" in again.stdout
    assert "fold 1" not in again.stdout


def test_after_kill_9_the_next_run_goes_on_from_the_last_stage_and_checkpoint(bench) -> None:
    arguments = (*TINY, "--set", "epochs=8", "--json")
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen(bench.command(*arguments), env=bench.environment, **silent)
    deadline = time.monotonic() + 200
    while not list(bench.home.glob("runs/*/checkpoints/*/trainer_state.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in [*psutil.Process(child.pid).children(recursive=True), child]:
        process.kill()
    child.wait()
    assert not list(bench.home.glob("store/runs/*"))
    done = bench.ferline(*arguments)
    assert json.loads(done.stdout)["verdict"] == "Promoted", done.stderr[-2000:]
    assert "resuming from step" in done.stderr
    assert "Task run 'ingest" in done.stderr
    assert "perceptual hashes" not in done.stderr
