"""Every answer is on record: with its label, its shadow, and after a kill."""

import io
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
import uuid6
from PIL import Image

from components.dataset import Dataset
from components.labels import CLASSES
from components.statistics import image_statistics


@pytest.fixture(scope="module")
def face(tiny_dataset: Dataset, png) -> bytes:
    return png(tiny_dataset.images[-1])


def recorded(service, least: int = 0, seconds: float = 20) -> pd.DataFrame:
    """The log of the last hour once it holds at least so many rows."""
    journal, until = service.journal, time.monotonic() + seconds
    while True:
        frame = journal.logbook.read(datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1))
        if len(frame) >= least or time.monotonic() > until:
            return frame
        time.sleep(0.1)


def gauge(service, name: str) -> float:
    """A figure without labels from /metrics; 0 before it is first set."""
    lines = service.get("/metrics").text.splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0.0)


def test_an_answer_is_logged_as_it_was_given(served, face: bytes, tiny_dataset: Dataset) -> None:
    sent = time.perf_counter()
    answer = served.post("/predict", files={"image": face}, data={"tag": "site 1"}).json()
    waited_ms = 1000 * (time.perf_counter() - sent)
    row = {}
    until = time.monotonic() + 20
    while not len(row) and time.monotonic() < until:
        frame = recorded(served)
        row = frame[frame["id"] == answer["id"]]
    row = row.iloc[0]
    assert (row["version"], row["role"], row["tag"]) == ("1", "champion", "site 1")
    assert CLASSES[row["answer"]] == answer["class"]
    assert row["confidence"] == pytest.approx(answer["confidence"], abs=1e-5)
    assert np.allclose(row["probabilities"], [answer["probabilities"][name] for name in CLASSES], atol=1e-5)
    expected = [float(column[0]) for column in image_statistics(tiny_dataset.images[-1:])]
    assert [row["brightness"], row["contrast"], row["sharpness"]] == pytest.approx(expected, rel=1e-4)
    assert len(row["embedding"]) > 8
    assert 0 < row["latency_ms"] < waited_ms
    assert row["pixels"] is None
    assert abs(row["time"] - pd.Timestamp.now("UTC")) < pd.Timedelta(minutes=2)


def test_feedback_has_a_defined_answer_each(served, face: bytes) -> None:
    id = served.post("/predict", content=face).json()["id"]
    said = [
        served.post("/feedback", json={"id": id, "class": name, **more})
        for name, more in [("happy", {}), ("happy", {}), ("sad", {}), ("sad", {"replace": True}), ("fear", {})]
    ]
    assert [answer.status_code for answer in said] == [200, 200, 409, 200, 409]
    assert [answer.json().get("outcome") for answer in said] == ["first", "repeated", None, "replaced", None]
    assert "to be happy" in said[2].json()["error"]["message"]
    assert said[3].json() == {"id": id, "class": "sad", "outcome": "replaced", "before": "happy"}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"id": "x", "class": "happy"}, 404, "on record"),
        ({"id": uuid6.uuid7().hex, "class": "happy"}, 404, "on record"),
        ({"id": uuid6.uuid7().hex, "class": "bored"}, 422, "'neutral'"),
        ({"class": "happy"}, 422, "id"),
        ({"id": "x", "class": "happy", "who": "me"}, 422, "id, class, replace"),
        ([], 422, "body"),
    ],
)
def test_feedback_that_cannot_be_taken_is_told(served, body: object, status: int, words: str) -> None:
    answer = served.post("/feedback", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]["message"]


def test_feedback_that_is_no_json_is_told(served) -> None:
    assert served.post("/feedback", data={"id": "x", "class": "happy"}).status_code == 415
    assert served.post("/feedback", content=b"{", headers={"content-type": "application/json"}).status_code == 422


def test_of_many_labels_at_once_one_is_first(served, face: bytes) -> None:
    id = served.post("/predict", content=face).json()["id"]
    with ThreadPoolExecutor(7) as pool:
        told = list(pool.map(lambda name: served.post("/feedback", json={"id": id, "class": name}), CLASSES))
    assert sorted(answer.status_code for answer in told) == [200] + [409] * 6


def test_a_prediction_can_be_removed(served, face: bytes) -> None:
    id = served.post("/predict", content=face).json()["id"]
    gone = httpx.delete(f"{served.url}/predictions/{id}")
    assert gone.json() == {"id": id, "deleted": 1}
    assert httpx.delete(f"{served.url}/predictions/{id}").status_code == 404
    assert httpx.delete(f"{served.url}/predictions/nothing").status_code == 404
    assert served.post("/feedback", json={"id": id, "class": "happy"}).status_code == 404
    assert id not in set(recorded(served)["id"])


def test_kill_9_under_load_loses_no_answered_prediction(
    tmp_path: Path, packages, open_shelf, start, face: bytes
) -> None:
    open_shelf(tmp_path / "home").promote(packages["first"])
    answered: list[str] = []

    def ask(url: str) -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            while True:
                try:
                    answered.append(client.post("/predict", content=face).json()["id"])
                except (httpx.TransportError, ValueError):
                    return

    server = start(tmp_path)
    with server as service:
        clients = [threading.Thread(target=ask, args=(service.url,)) for _ in range(6)]
        for client in clients:
            client.start()
        until = time.monotonic() + 60
        while len(answered) <= 30 and time.monotonic() < until:
            time.sleep(0.05)
        workers = subprocess.run(
            ["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        for pid in (*workers, str(server.process.pid)):
            subprocess.run(["kill", f"-{signal.SIGKILL.value}", pid], check=False)
        for client in clients:
            client.join()
    assert len(answered) > 30
    service.journal.ship()  # what the next server does first
    kept = recorded(service)["id"]
    assert set(answered) <= set(kept)
    assert kept.is_unique


def test_a_spool_that_cannot_be_written_stops_nobody_and_is_counted(
    tmp_path: Path, packages, open_shelf, start, face: bytes
) -> None:
    open_shelf(tmp_path / "home").promote(packages["first"])
    with start(tmp_path, FERLINE_LOG_PIXELS="true") as service:
        first = service.post("/predict", content=face)
        row = recorded(service, 1).iloc[0]
        assert np.array_equal(
            np.asarray(Image.open(io.BytesIO(row["pixels"]))), np.asarray(Image.open(io.BytesIO(face)))
        )
        assert "ferline_log_waiting 0.0" in service.get("/metrics").text
        with service.journal.spool._open() as connection:
            connection.execute("DROP TABLE predictions")
        second = service.post("/predict", content=face)
        assert (first.status_code, second.status_code) == (200, 200)
        assert "ferline_unlogged_total 1.0" in service.get("/metrics").text


def test_a_store_that_is_away_lets_the_log_wait(tmp_path: Path, packages, open_shelf, start, face: bytes) -> None:
    open_shelf(tmp_path / "home").promote(packages["first"])
    away = {
        "FERLINE_STORE": "s3://faces/log", "FERLINE_S3_ENDPOINT": "127.0.0.1:9", "FERLINE_S3_ACCESS_KEY": "nobody",
        "FERLINE_S3_SECRET_KEY": "nothing",
    }  # fmt: skip
    with start(tmp_path, **away) as service:
        id = service.post("/predict", content=face).json()["id"]
        assert service.post("/feedback", json={"id": id, "class": "happy"}).status_code == 200
        unknown = service.post("/feedback", json={"id": uuid6.uuid7().hex, "class": "happy"})
        assert unknown.status_code == 503
        assert unknown.headers["retry-after"]
        assert service.get("/readyz").status_code == 200
        until = time.monotonic() + 60
        while gauge(service, "ferline_log_waiting") < 1 and time.monotonic() < until:
            time.sleep(0.2)
        assert gauge(service, "ferline_log_waiting") == 1
        assert gauge(service, "ferline_log_lag_seconds") > 0
    assert service.journal.spool.find(id)
    assert service.journal.ship() == 1  # to a store that is there again


def test_a_canary_stays_with_its_clients_and_a_shadow_answers_beside(
    tmp_path: Path, packages, open_shelf, start, face: bytes
) -> None:
    shelf = open_shelf(tmp_path / "home")
    shelf.promote(packages["first"])
    shelf.registry.set_alias("challenger", shelf.registry.register(packages["second"]).version)
    with start(tmp_path, FERLINE_SERVE_CANARY="0.5", FERLINE_SERVE_SHADOW="true") as service:
        clients = [f"client {k}" for k in range(24)]
        answers = {c: [_version(service, face, c) for _ in range(3)] for c in clients}
        assert all(len(set(versions)) == 1 for versions in answers.values())
        served_by = [versions[0] for versions in answers.values()]
        assert set(served_by) == {"1", "2"}
        champions = 3 * served_by.count("1")
        frame = recorded(service, 72 + champions)
        assert frame["role"].value_counts().to_dict() == {
            "champion": champions, "canary": 72 - champions, "shadow": champions,
        }  # fmt: skip
        pairs = frame[frame["role"] != "canary"].groupby("id")["version"].agg(lambda v: sorted(v))
        assert all(pair == ["1", "2"] for pair in pairs)
        shelf.registry.delete_alias("challenger")
        until = time.monotonic() + 30
        while "2" in {_version(service, face, c) for c in clients} and time.monotonic() < until:
            time.sleep(0.2)
        assert {_version(service, face, c) for c in clients} == {"1"}


def _version(service, face: bytes, client: str) -> str:
    answer = service.post("/predict", content=face, headers={"x-client-id": client})
    return str(answer.json()["model"]["version"])
