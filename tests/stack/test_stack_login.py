"""The production profile's logins, with the commands and variables of infra/compose.production.yml."""

import os
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from tests.stack.conftest import BIN, REPOSITORY, answers, free_port, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
PRODUCTION = yaml.safe_load((REPOSITORY / "infra" / "compose.production.yml").read_text())["services"]
USER, PASSWORD = "team", "only-for-this-test"
ASKED = {
    "mlflow": ("/health", "/api/2.0/mlflow/registered-models/get?name=x", 404),
    "prefect": ("/api/health", "/api/admin/version", 200),
}


@pytest.mark.parametrize("name", list(ASKED))
def test_nobody_gets_in_without_the_login(name: str, outside: dict[str, str], tmp_path: Path) -> None:
    port, (health, path, known) = free_port(), ASKED[name]
    command = PRODUCTION[name].get("command", ["prefect", "server", "start", "--host", "0.0.0.0", "--port", "4200"])
    command = [
        "127.0.0.1" if part == "0.0.0.0" else str(port) if part in ("5000", "4200") else part for part in command
    ]
    login = {
        "MLFLOW_AUTH_ADMIN_USERNAME": USER,
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": PASSWORD,
        "PREFECT_SERVER_API_AUTH_STRING": f"{USER}:{PASSWORD}",
    }
    asked_for = {key for key, value in PRODUCTION[name]["environment"].items() if ":?" in value and key in login}
    assert len(asked_for) == (3 if name == "mlflow" else 1)
    own = {key: login[key] for key in asked_for} | {
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path}/mlflow.db", "PREFECT_HOME": str(tmp_path / "prefect"),
        "MLFLOW_ARTIFACTS_DESTINATION": str(tmp_path / "artifacts"), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]], env={**outside, **own}, stdout=log, stderr=log, cwd=tmp_path,
            start_new_session=True,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(url + health), 120, f"{name} is up; probes need no login")
        assert httpx.get(url + path).status_code == 401
        assert httpx.get(url + path, auth=(USER, "wrong")).status_code == 401
        assert httpx.get(url + path, auth=(USER, PASSWORD)).status_code == known
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)
