"""Keys, rates, origins, and MLflow's signed word that something moved."""

import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from components.errors import RequestError
from serving.access import KeyFileError, Keys, bearer
from serving.hooks import check_signature


def test_a_key_is_known_by_its_hash_alone(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "deep" / "keys.json")
    token = keys.add("anna", 100)
    assert token not in keys.file.read_text()
    assert stat.S_IMODE(keys.file.stat().st_mode) == 0o600
    assert keys.admit(token) == "anna"
    for wrong in ("", token[:-1], token + "x"):
        with pytest.raises(RequestError, match="a key is needed") as refused:
            keys.admit(wrong)
        assert refused.value.http_status == 401


def test_a_key_taken_back_is_refused_from_then_on(tmp_path: Path) -> None:
    keys, running = Keys(tmp_path / "keys.json"), Keys(tmp_path / "keys.json")
    token = keys.add("anna", 100)
    keys.add("ben", 100)
    assert running.admit(token) == "anna"
    keys.remove("anna")
    with pytest.raises(RequestError):
        running.admit(token)
    with pytest.raises(KeyFileError, match="it has ben"):
        keys.remove("anna")
    with pytest.raises(KeyFileError, match="already"):
        keys.add("ben", 1)


def test_each_key_has_a_rate_of_its_own(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    one, other = keys.add("anna", 3), keys.add("ben", 3)
    for _ in range(3):
        keys.admit(one)
    with pytest.raises(RequestError, match="3 times a minute") as refused:
        keys.admit(one)
    assert refused.value.http_status == 429
    assert 1 <= (refused.value.retry_after or 0) <= 61
    assert keys.admit(other) == "ben"


@pytest.mark.parametrize("content", [None, "no json", '[{"name": "anna"}]', "{}x"])
def test_a_key_file_that_cannot_be_read_lets_nobody_in(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "keys.json").write_text(content)
    with pytest.raises(KeyFileError, match=r"keys\.json"):
        Keys(tmp_path / "keys.json").admit("x")


def test_a_key_stands_in_either_header() -> None:
    assert bearer({b"authorization": b"bearer abc"}) == "abc"
    assert bearer({b"x-api-key": b"abc"}) == "abc"
    assert bearer({b"authorization": b"Basic abc"}) == ""


def test_over_http_only_the_page_and_the_probes_are_open(
    tmp_path: Path, packages, open_shelf, start, png, tiny_dataset
) -> None:
    open_shelf(tmp_path / "home").promote(packages["first"])
    keys = Keys(tmp_path / "keys.json")
    token, slow = keys.add("anna", 1000), keys.add("ben", 2)
    face = png(tiny_dataset.images[-1])
    with start(tmp_path, FERLINE_SERVE_KEYS=str(keys.file), FERLINE_SERVE_ORIGINS="https://faces.example") as service:
        for path in ("/", "/livez", "/readyz"):
            assert service.get(path).status_code == 200
        for path in ("/model", "/metrics", "/docs.json", "/docs", "/schema.json", "/samples"):
            refused = service.get(path)
            assert refused.status_code == 401, path
            assert refused.headers["www-authenticate"] == "Bearer"
            assert service.get(path, headers={"authorization": f"Bearer {token}"}).status_code == 200, path
        assert service.post("/predict", content=face).json()["error"]["kind"] == "RequestError"
        answers = [service.post("/predict", content=face, headers={"x-api-key": slow}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert int(answers[2].headers["retry-after"]) >= 1
        asked = {"origin": "https://faces.example", "access-control-request-method": "POST"}
        allowed = httpx.options(f"{service.url}/predict", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://faces.example"
        other = httpx.options(f"{service.url}/predict", headers={**asked, "origin": "https://elsewhere.example"})
        assert "access-control-allow-origin" not in other.headers
        keys.file.write_text("no longer json")
        assert service.post("/predict", content=face, headers={"x-api-key": slow}).status_code == 503


def test_no_origin_is_allowed_unless_it_is_named(served) -> None:
    answer = served.get("/model", headers={"origin": "https://faces.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_a_delivery_is_believed_only_signed_and_fresh() -> None:
    from mlflow.webhooks.delivery import _generate_hmac_signature

    now, body = 1_800_000_000, b'{"event": "moved"}'
    headers = {"x-mlflow-delivery-id": "d", "x-mlflow-timestamp": str(now)}
    headers["x-mlflow-signature"] = _generate_hmac_signature("secret", "d", str(now), body.decode())
    check_signature("secret", headers, body, now + 10)
    for secret, sent, moment in [
        ("other", headers, now),
        ("secret", {}, now),
        ("secret", {**headers, "x-mlflow-delivery-id": "e"}, now),
        ("secret", headers, now + 301),
    ]:
        with pytest.raises(RequestError):
            check_signature(secret, sent, body, moment)


def test_mlflow_itself_tells_of_a_moved_alias(tmp_path: Path, packages, open_shelf, start, outside) -> None:
    from mlflow import MlflowClient
    from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent

    shelf = open_shelf(tmp_path / "home")
    shelf.promote(packages["first"])
    second = shelf.registry.register(packages["second"]).version
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{shelf.home / 'mlflow.db'}",
         "--artifacts-destination", str(shelf.home / "mlflow-artifacts"), "--port", str(port), "--workers", "1"],
        env={**outside, "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true", "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http"},
        stdout=(tmp_path / "mlflow.log").open("w"), stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        _until(lambda: httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200, 120)
        with start(
            tmp_path, FERLINE_SERVE_POLL_SECONDS="3600", FERLINE_SERVE_WEBHOOK_SECRET="known to both"
        ) as service:
            assert service.get("/readyz").json()["model"] == "1"
            assert service.post("/hooks/mlflow", json={}).status_code == 401
            client = MlflowClient(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}")
            moved = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)
            client.create_webhook("ferline", f"{service.url}/hooks/mlflow", [moved], secret="known to both")
            client.set_registered_model_alias("ferline-fer", "champion", second)
            _until(lambda: service.get("/readyz").json()["model"] == second, 60)
    finally:
        server.terminate()
        server.wait()


def test_a_hook_that_is_not_set_up_says_so(served) -> None:
    answer = served.post("/hooks/mlflow", content=json.dumps({}))
    assert answer.status_code == 404
    assert "FERLINE_SERVE_WEBHOOK_SECRET" in answer.json()["error"]["message"]


def _until(reached, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if reached():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise TimeoutError(f"not within {seconds} s; {os.getcwd()}")
