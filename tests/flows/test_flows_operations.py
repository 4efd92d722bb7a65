"""Backup, restore and doctor on an embedded site, as a person gives the commands."""

import json
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.backup import MANIFEST, Site, backup, restore
from components.errors import BackupError
from components.journal import Journal, Logbook
from components.store import S3Store, open_store
from tests.flows.conftest import TINY
from tests.journal.conftest import FAR_AHEAD, LONG_AGO, prediction

REPOSITORY = Path(__file__).parents[2]


def journal_of(bench: Any) -> Journal:
    return Journal(bench.home / "predictions", Logbook(open_store(str(bench.home / "store"))), 30)


@pytest.fixture(scope="module")
def saved(promoted, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A site with a champion, and its backup."""
    bench, _ = promoted
    log = journal_of(bench)
    log.spool.add([prediction()])
    log.ship()
    folder = tmp_path_factory.mktemp("backups") / "one"
    done = bench.ferline("backup", str(folder))
    assert done.returncode == 0, done.stderr
    return bench, folder


@pytest.mark.e2e
def test_a_wiped_site_comes_back_with_its_champion_and_history(saved) -> None:
    bench, folder = saved
    before = (bench.document("models", "list"), bench.document("models", "history"))
    shutil.rmtree(bench.home)
    done = bench.ferline("restore", str(folder))
    assert done.returncode == 0, done.stderr
    assert (bench.document("models", "list"), bench.document("models", "history")) == before
    findings = {finding["what"]: finding for finding in bench.document("doctor")}
    assert {finding["state"] for finding in findings.values()} == {"good"}
    assert "its champion, 1, is the registry's" in findings["ledger"]["found"]
    again = bench.ferline(*TINY, "--preset", "quick-resnet18")
    assert "Unchanged" in again.stdout, "every stage is found again"


@pytest.mark.e2e
def test_a_site_that_holds_something_is_not_overwritten_unless_told(saved) -> None:
    bench, folder = saved
    refused = bench.ferline("restore", str(folder))
    assert (refused.returncode, "is not empty" in refused.stderr) == (2, True)
    log = journal_of(bench)
    (deleted,) = log.logbook.read(LONG_AGO, FAR_AHEAD)["id"]
    log.delete(deleted)
    done = bench.ferline("restore", str(folder), "--force")
    assert done.returncode == 0, done.stderr
    assert "deleted again, as before the restore: 1 predictions" in done.stdout + done.stderr
    assert log.logbook.read(LONG_AGO, FAR_AHEAD).empty, "the backup holds it still"


@pytest.mark.e2e
def test_a_backup_of_paths_comes_back_to_the_same_home(saved, tmp_path: Path, monkeypatch) -> None:
    bench, folder = saved
    other = type(bench)(tmp_path, bench.outside)
    shutil.copytree(bench.root / "policy", tmp_path / "policy")
    refused = other.ferline("restore", str(folder))
    assert (refused.returncode, f"names files below {bench.home}" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("made_of", "here", "told"),
    [
        ("/data", "/home/ada", "names files below /data: restore it with FERLINE_HOME set to that."),
        ("/data", "", "names files below /data: .* and without MLFLOW_ARTIFACTS_DESTINATION"),
        ("", "/home/ada", r"keeps its artifacts on an S3 server: restore it with MLFLOW_ARTIFACTS_DESTINATION \("),
    ],
)
def test_a_backup_of_another_kind_of_site_says_what_to_set(tmp_path: Path, made_of: str, here: str, told: str) -> None:
    backup(Site(bound_to=made_of), tmp_path / "backup", print)
    with pytest.raises(BackupError, match=told):
        restore(Site(bound_to=here), tmp_path / "backup", print)


@pytest.mark.parametrize("damage", ["changed", "missing", "unfinished", "newer"])
def test_a_backup_that_is_not_whole_changes_nothing(s3: S3Store, tmp_path: Path, damage: str) -> None:
    s3.put_bytes("a/b.json", b"{}")
    folder = tmp_path / "backup"
    backup(Site(stores={"ferline": s3}), folder, print)
    s3.delete("a/b.json")
    copy = folder / "stores" / "ferline" / "a" / "b.json"
    match damage:
        case "changed":
            copy.write_text("[]")
        case "missing":
            copy.unlink()
        case "unfinished":
            (folder / MANIFEST).unlink()
        case "newer":
            manifest = json.loads((folder / MANIFEST).read_text())
            (folder / MANIFEST).write_text(json.dumps({**manifest, "schema_version": 2}))
    with pytest.raises(BackupError):
        restore(Site(stores={"ferline": s3}), folder, print)
    assert s3.list("") == []


def test_a_folder_with_something_in_it_takes_no_backup(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(BackupError, match="is not empty"):
        backup(Site(), tmp_path, print)


def test_the_doctor_names_what_is_wrong_and_what_to_do(bench) -> None:
    (bench.root / "policy" / "drift.yaml").write_text("drift: {falsealarm: 1}")
    done = bench.ferline("doctor", "--json")
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 1
    assert findings["policy"]["state"] == "bad"
    assert "falsealarm" in findings["policy"]["found"]
    assert findings["registry"]["state"] == "warning"
    assert findings["registry"]["remedy"] == "`ferline run train-pipeline` trains one"
    assert findings["store"]["state"] == "good"


def test_the_doctor_meets_servers_that_are_away(bench) -> None:
    findings, seconds = examined(bench, FERLINE_STORE="s3://faces", FERLINE_S3_ENDPOINT="http://127.0.0.1:9",
                                 FERLINE_S3_ACCESS_KEY="k", FERLINE_S3_SECRET_KEY="s",
                                 FERLINE_TRACKING_URI="http://127.0.0.1:9",
                                 PREFECT_API_URL="http://127.0.0.1:9/api")  # fmt: skip
    assert {findings[what]["state"] for what in ("store", "registry", "Prefect")} == {"bad"}
    assert "does not answer" in findings["store"]["found"]
    assert "127.0.0.1:9" in findings["registry"]["found"]
    assert findings["Prefect"]["remedy"] == "start its server, or correct PREFECT_API_URL"
    assert seconds < 100, "MLflow's client alone tries for four minutes"


def test_the_doctor_tells_a_missing_login_from_a_server_that_is_away(bench) -> None:
    class Refuse(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(401)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        findings, _ = examined(bench, PREFECT_API_URL=f"http://127.0.0.1:{server.server_port}/api")
        server.shutdown()
    assert findings["Prefect"]["remedy"] == "set PREFECT_API_AUTH_STRING to its login, user:password"


def examined(bench: Any, **settings: str) -> tuple[dict[str, Any], float]:
    """What the doctor says of such settings, where something is bad, by name; and how long it took, seconds."""
    begun = time.monotonic()
    done = subprocess.run(
        bench.command("doctor", "--json"), env={**bench.environment, **settings}, cwd=REPOSITORY, capture_output=True,
        text=True, timeout=250,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    return {finding["what"]: finding for finding in json.loads(done.stdout)}, time.monotonic() - begun


def test_the_command_line_does_not_import_prefect_before_it_is_told_where_to_keep_things() -> None:
    """It reads its settings when it is imported, and would keep results in the user's own folder."""
    code = "import sys, flows.cli, flows.context, flows.site, flows.doctor; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
