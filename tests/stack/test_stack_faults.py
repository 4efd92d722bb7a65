"""Every fault, with nothing lost and a defined state after it."""

import concurrent.futures
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from components.registry.ledger import commit, history
from components.registry.records import CHAMPION, LedgerEntry, utc_now
from components.registry.standing import standing
from components.store import S3Store
from components.training.train import last_checkpoint
from tests.stack.conftest import BIN, FACES, KEY, SECRET, Stack, answers, free_port, logged, predict, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def train(stack: Stack, seed: int, epochs: int, promote: bool = True) -> str:
    """Start a run whose training is new; its id."""
    training = {"presets": ["quick"], "overrides": [f"seed={seed}", f"epochs={epochs}", "patience=0"]}
    return stack.deploy_run(
        "train-pipeline/default", data={"source": FACES}, training=training, promotion={"promote": promote}
    )


def epochs(stack: Stack) -> int:
    """How far the training in progress is."""
    lines = [file.read_text() for file in (stack.home / "runs").glob("*/metrics.jsonl")]
    return max((text.count("\n") for text in lines), default=0)


def agree(stack: Stack) -> bool:
    """Whether aliases and tags say what the ledger says."""
    entries = history(stack.store, stack.registry.model_name)
    versions = {version.version: version for version in stack.registry.versions()}
    wanted = standing(entries, versions)
    aliases = {alias: v.version for v in versions.values() for alias in v.aliases}
    statuses = {v: tags["ferline.status"] for v, tags in wanted.tags.items()}
    return {a: v for a, v in wanted.aliases.items() if v} == aliases and all(
        versions[v].status == status for v, status in statuses.items()
    )


@pytest.fixture(scope="module")
def second(stack: Stack, champion: str) -> str:
    """The newer of two versions beside the champion, not promoted."""
    for seed in (24, 25):
        state = stack.ended(train(stack, seed=seed, epochs=1, promote=False))
        assert state["type"] == "COMPLETED", stack.log("worker")
    return stack.registry.versions()[0].version


def test_a_dead_workers_runs_are_taken_over_or_marked(stack: Stack, champion: str) -> None:
    """A training goes on from its checkpoint in another worker; a retraining ends, and the next is not cancelled."""
    predict(stack.service, 300, seed=12, told=True)
    run = train(stack, seed=21, epochs=40)
    until(lambda: epochs(stack) >= 2, 120, f"it trains: {stack.log('worker')}")
    freeze_training(stack)
    retraining = stack.deploy_run("retrain/on-drift", trigger={"reason": "a test", "at_once": True})
    until(lambda: len(list((stack.home / "runs").glob("*/metrics.jsonl"))) == 2, 120, "both train")
    stack.kill("worker")  # with all its processes, as when a machine loses power; supervisord starts another
    reached = last_checkpoint_of(stack, seed=21)
    until(lambda: stack.state(retraining).get("type") == "CRASHED", 200, "the retraining counts as lost")
    next_one = stack.deploy_run("retrain/on-drift", trigger={"reason": "the next", "at_once": True})
    # Not `ended`: it is lost for a moment before it waits again.
    until(lambda: stack.state(run).get("name") in ("Promoted", "Rejected"), 300, "the training has gone on to its end")
    log = stack.ask("/logs/filter", logs={"flow_run_id": {"any_": [run]}}, sort="TIMESTAMP_ASC")
    said = [line["message"] for line in log]
    resumed = f"resuming from step {reached['global_step']}"
    assert resumed in said, "from its last checkpoint"
    after = [found[1] for line in said[said.index(resumed) :] if (found := re.match(r"epoch (\d+):", line))]
    assert int(after[0]) == round(reached["epoch"]) + 1, "no epoch is trained again"
    assert stack.ended(next_one)["type"] == "COMPLETED", stack.log("worker")
    assert stack.state(retraining)["name"] == "Lost"


def freeze_training(stack: Stack) -> None:
    """Stop the one training where it is, so that it does not end before its worker does, however fast the machine."""
    frozen = 0
    for process in psutil.Process(stack.pids("worker")[0]).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "components.training" in process.cmdline():
                process.suspend()
                frozen += 1
    assert frozen, stack.log("worker")


def last_checkpoint_of(stack: Stack, seed: int) -> dict[str, Any]:
    """What the newest whole checkpoint of a killed training says: `global_step` and `epoch`."""
    recipes = (stack.home / "runs").glob("*/recipe.json")
    (folder,) = (file.parent for file in recipes if json.loads(file.read_text())["seed"] == seed)
    newest = last_checkpoint(folder / "checkpoints", print, main=False)
    assert newest, "it had trained two epochs"
    state: dict[str, Any] = json.loads((Path(newest) / "trainer_state.json").read_text())
    return state


def test_postgresql_may_restart_during_a_run(stack: Stack, champion: str) -> None:
    run = train(stack, seed=22, epochs=8)
    until(lambda: epochs(stack) >= 2, 120, f"it trains: {stack.log('worker')}")
    stack.postgres.stop(signal.SIGINT)
    time.sleep(3)
    stack.postgres.start()
    state = stack.ended(run)
    assert state["name"] in ("Promoted", "Rejected"), stack.log("worker") + stack.log("prefect")
    assert agree(stack)


def test_the_store_may_be_away_for_half_a_minute(stack: Stack, champion: str) -> None:
    run = train(stack, seed=23, epochs=3)
    until(lambda: epochs(stack) >= 1, 120, f"it trains: {stack.log('worker')}")
    stack.s3.stop()
    ids = predict(stack.service, 100, seed=31)
    time.sleep(30)
    meanwhile = stack.state(run)["type"]
    stack.s3.start()
    assert meanwhile == "RUNNING", stack.log("worker")
    state = stack.ended(run)
    assert state["name"] in ("Promoted", "Rejected"), stack.log("worker")
    until(lambda: set(ids) <= set(logged(stack)), 60, "what was answered meanwhile reached the bucket")


def test_mlflow_may_be_away_during_a_promotion(stack: Stack, second: str) -> None:
    """Stopped where it hurts: the ledger has the promotion, and the alias is still the old one."""
    before = history(stack.store, "ferline-fer")
    aliases = {v.version for v in stack.registry.versions() if CHAMPION in v.aliases}
    shas = {v.version: v.model_sha256 for v in stack.registry.versions()}
    server = stack.pids("mlflow")
    for pid in server:  # deaf, not gone: what is asked of it waits
        os.kill(pid, signal.SIGSTOP)
    try:
        entry = LedgerEntry(
            utc_now(), "a test", "promote", "ferline-fer", next(iter(aliases)), second,
            shas[second], "half done",
        )  # fmt: skip
        commit(stack.store, entry, before)
        started = subprocess.Popen(
            [str(BIN / "ferline"), "models", "promote", second, "--force", "--reason", "a test"],
            env=stack.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        time.sleep(8)
        assert started.poll() is None, "it waits for MLflow"
        for pid in server:
            os.kill(pid, signal.SIGKILL)
    finally:
        for pid in server:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    out, err = started.communicate(timeout=200)
    stack.healthy("mlflow")
    assert started.returncode == 0, out + err
    assert stack.registry.get(CHAMPION).version == second
    assert len(history(stack.store, "ferline-fer")) == len(before) + 1, (
        "the half-done promotion was finished, not doubled"
    )
    assert agree(stack)
    until(lambda: httpx.get(f"{stack.service}/readyz").json()["model"] == second, 60, "the service follows")


def test_of_two_promotions_at_once_the_ledger_decides(stack: Stack, second: str) -> None:
    """From two machines: each has a lock of its own."""
    versions = [v.version for v in stack.registry.versions() if CHAMPION not in v.aliases][:2]
    before = len(history(stack.store, "ferline-fer"))

    def promote(version: str) -> "subprocess.CompletedProcess[str]":
        command = [str(BIN / "ferline"), "models", "promote", version, "--force", "--reason", f"a race for {version}"]
        home = str(stack.home.parent / f"machine-{version}")
        return subprocess.run(
            command, env={**stack.environment, "FERLINE_HOME": home}, capture_output=True, text=True, timeout=200
        )

    with concurrent.futures.ThreadPoolExecutor() as pool:
        done = list(pool.map(promote, versions))
    promotions = [e for e in history(stack.store, "ferline-fer")[before:] if e.action == "promote"]
    assert [d.returncode for d in done].count(0) == len(promotions) >= 1
    assert {d.returncode for d in done} <= {0, 4}, [d.stderr for d in done]
    assert stack.registry.get(CHAMPION).version == promotions[-1].to_version
    assert agree(stack)


def test_a_full_disk_under_the_spool_stops_no_answer_and_shows(stack: Stack, champion: str) -> None:
    worker = stack.pids("service")[-1]
    ids = predict(stack.service, 50, seed=41)
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))  # what it writes to no longer fits
    try:
        assert len(predict(stack.service, 50, seed=42)) == 50
        told = httpx.get(f"{stack.service}/metrics").text
        (lost,) = re.findall(r"^ferline_unlogged_total(?:{.*})? ([0-9.]+)", told, re.M)
        assert float(lost) == 50
    finally:
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ids += predict(stack.service, 50, seed=43)
    until(lambda: set(ids) <= set(logged(stack)), 60, "before and after, all is logged")


def test_the_service_may_be_killed_under_load(stack: Stack, champion: str) -> None:
    acknowledged: list[str] = []
    stop = threading.Event()

    def load(seed: int) -> None:
        while not stop.is_set():
            try:
                acknowledged.extend(predict(stack.service, 50, seed))
            except (httpx.HTTPError, AssertionError):
                time.sleep(0.2)

    clients = [threading.Thread(target=load, args=(50 + k,), daemon=True) for k in range(3)]
    for client in clients:
        client.start()
    try:
        for _ in range(2):
            time.sleep(3)
            many = len(acknowledged)
            stack.kill("service")
            until(lambda many=many: len(acknowledged) > many + 200, 90, "it answers again")
    finally:
        stop.set()
        for client in clients:
            client.join(90)
    until(lambda: set(acknowledged) <= set(logged(stack)), 60, "every acknowledged answer is in the log")
    seen = [id for id in logged(stack) if id in set(acknowledged)]
    assert len(seen) == len(set(seen)), "none twice"


def libfaketime() -> Path:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("libfaketime is not here: apt-get install libfaketime")
    return found[0]


def test_the_clock_may_jump_a_day(stack: Stack, second: str, tmp_path: Path) -> None:
    """A service whose machine's clock goes forth and back answers, logs and follows the champion."""
    clock, port = tmp_path / "clock", free_port()
    clock.write_text("+0")
    own = {
        "LD_PRELOAD": str(libfaketime()), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1", "FERLINE_HOME": str(tmp_path / "home"),
    }  # fmt: skip
    with (tmp_path / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [str(BIN / "bentoml"), "serve", "serving.service:FaceService", "--port", str(port)], stdout=log, stderr=log,
            env={**stack.environment, **own}, start_new_session=True, cwd=tmp_path,
        )  # fmt: skip
    stack.extra.append(process)
    url = f"http://127.0.0.1:{port}"
    until(lambda: answers(f"{url}/readyz"), 90, (tmp_path / "service.log").read_text()[-2000:])
    ids = []
    for jump in ("+0", "+1d", "-1d", "+0"):
        clock.write_text(jump)
        ids += predict(url, 50, seed=61)
        told = httpx.post(f"{url}/feedback", json={"id": ids[-1], "class": "happy"})
        assert told.status_code == 200, told.text
    assert len(set(ids)) == 200
    until(lambda: set(ids) <= set(logged(stack)), 60, "all of it is in the bucket")
    days = {name.split("/")[1] for name in stack.store.list("predictions/")}
    assert len(days) >= 3, "each under the day that its clock said"
    target = next(v.version for v in stack.registry.versions() if CHAMPION not in v.aliases)
    done = stack.run("ferline", "models", "promote", target, "--force", "--reason", "after the jump")
    assert done.returncode == 0, done.stderr
    until(lambda: httpx.get(f"{url}/readyz").json()["model"] == target, 60, "it follows the alias still")
    os.killpg(process.pid, signal.SIGTERM)


def test_a_backup_brings_a_wiped_site_back(stack: Stack, champion: str, tmp_path: Path) -> None:
    """Databases, buckets and the workspace gone; the champion serves again and the history is whole."""
    serving = stack.registry.get(CHAMPION).version
    ledger = history(stack.store, "ferline-fer")
    dashboard = f"http://127.0.0.1:{stack.port('dashboard')}/api/projects"
    drawn = httpx.get(dashboard).json()
    runs = {run["id"] for run in stack.ask("/flow_runs/filter", flow_runs={"state": {"type": {"any_": ["COMPLETED"]}}})}
    made = stack.run("ferline", "backup", str(tmp_path / "backup"))  # nothing is stopped for it
    assert made.returncode == 0, made.stderr
    stack.control("stop", "all")
    wipe(stack)
    back = stack.run("ferline", "restore", str(tmp_path / "backup"))
    assert back.returncode == 0, back.stderr
    set_ups = stack.set_ups()
    stack.control("start", "all")
    for name in ("prefect", "mlflow", "service", "dashboard"):
        stack.healthy(name)
    until(lambda: stack.set_ups() > set_ups, 120, f"set up again: {stack.log('setup')}")
    stack.pause_schedules()
    until(lambda: httpx.get(f"{stack.service}/readyz").json()["model"] == serving, 60, "the champion serves again")
    assert len(predict(stack.service, 50, seed=71)) == 50
    assert history(stack.store, "ferline-fer") == ledger
    assert agree(stack)
    now = stack.ask("/flow_runs/filter", flow_runs={"state": {"type": {"any_": ["COMPLETED"]}}})
    assert runs <= {run["id"] for run in now}
    assert httpx.get(dashboard).json() == drawn
    until(lambda: stack.run("ferline", "doctor").returncode == 0, 90, "the doctor finds nothing bad")


def wipe(stack: Stack) -> None:
    """What a lost machine leaves."""
    for name in ("prefect", "mlflow"):
        url = f"postgresql://postgres@127.0.0.1:{stack.postgres.port}/{name}"
        for command in ("DROP SCHEMA public CASCADE", f"CREATE SCHEMA public AUTHORIZATION {name}"):
            subprocess.run(["psql", url, "--command", command], check=True, capture_output=True)
    for bucket in ("s3://ferline", "s3://mlflow"):
        store = S3Store(bucket, f"127.0.0.1:{stack.s3.port}", KEY, SECRET, "us-east-1")
        for name in store.list(""):
            store.delete(name)
        store.client.remove_bucket(store.bucket)
    for folder in ("evidently", "serving", "cache", "store", "predictions"):
        shutil.rmtree(stack.home / folder, ignore_errors=True)


def test_nothing_that_had_ended_was_begun_again(stack: Stack, champion: str) -> None:
    """After all of it, and more than the automations' silence after the first runs: each ran once, but the one that
    was taken over."""
    runs = stack.ask("/flow_runs/filter", flow_runs={"parent_task_run_id": {"is_null_": True}})
    begun = [run for run in runs if run["start_time"]]
    assert sorted(run["run_count"] for run in begun)[:-1] == [1] * (len(begun) - 1)
    lost = [run for run in begun if run["state"]["type"] != "COMPLETED"]
    assert {run["state"]["name"] for run in lost} <= {"Lost"}
