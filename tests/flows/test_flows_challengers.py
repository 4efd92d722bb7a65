"""Challengers that wait, are rejected, forced, come from elsewhere, or are killed on the way."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.flows.conftest import TINY, Bench, Promoted

pytestmark = pytest.mark.e2e  # each runs whole pipelines
STRICT = "gate: {macro_f1_floor: 0.99}\n"


@pytest.fixture
def strict(promoted: Promoted, lenient_policy: Path) -> Iterator[Bench]:
    """The bench of `promoted` while its gate lets nothing pass."""
    bench, _ = promoted
    bench.gate(STRICT)
    yield bench
    bench.gate((lenient_policy / "gate.yaml").read_text())


def champion(bench: Bench) -> str:
    """The version that is champion now."""
    (version,) = (v["version"] for v in bench.document("models", "list") if "champion" in v["aliases"])
    return str(version)


def test_a_challenger_may_wait_for_a_promotion_by_hand_and_be_rolled_back(promoted: Promoted) -> None:
    bench, _ = promoted
    before = champion(bench)
    waiting = bench.document(*TINY, "--set", "seed=4", "--no-promote")
    assert (waiting["verdict"], waiting["champion"]) == ("Waiting", before)
    challenger = bench.document("models", "promote", "challenger")["champion"]
    assert challenger != before
    assert bench.document("models", "rollback", "--reason", "complaints") == {"champion": before}
    moves = [(e["action"], e["to_version"]) for e in bench.document("models", "history") if e["action"] != "register"]
    assert moves[-3:] == [("promote", before), ("promote", challenger), ("rollback", before)]


def test_a_rejected_challenger_is_kept_and_promoted_by_force_with_a_reason_alone(strict: Bench) -> None:
    before = champion(strict)
    done = strict.ferline(*TINY, "--set", "seed=5", "--json")
    outcome = json.loads(done.stdout)
    assert (done.returncode, outcome["verdict"], outcome["champion"]) == (4, "Rejected", before)
    assert "Finished in state Rejected" in done.stderr
    rejected = strict.document("models", "history")[-1]
    assert (rejected["action"], rejected["decision_uri"]) == ("reject", outcome["decision_uri"])
    version = rejected["to_version"]
    statuses = {v["version"]: v["status"] for v in strict.document("models", "list")}
    assert (statuses[version], statuses[before]) == ("rejected", "champion")
    assert strict.ferline("models", "promote", version).returncode == 4
    assert strict.ferline("models", "promote", version, "--force").returncode == 4
    forced = strict.document("models", "promote", version, "--force", "--reason", "a try")
    assert forced == {"champion": version}
    last = strict.document("models", "history")[-1]
    assert (last["forced"], last["reason"]) == (True, "a try")


def test_drawn_faces_replace_no_model_of_photographs_by_themselves(bench: Bench) -> None:
    assert bench.document("models", "import-release")["aliases"] == ["champion"]
    done = bench.ferline(*TINY, "--preset", "quick-resnet18", "--json")
    outcome = json.loads(done.stdout)
    assert (outcome["verdict"], outcome["champion"]) == ("Waiting", "1")
    assert "drawn faces alone make no model champion" in done.stderr
    assert bench.document("models", "promote", "challenger") == {"champion": "2"}


def test_labels_are_audited_and_a_run_trained_elsewhere_without_the_worst_goes_on_to_the_gate(
    promoted: Promoted, tmp_path: Path
) -> None:
    bench, outcome = promoted
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
