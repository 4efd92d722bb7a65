"""`ferline keys`, `log`, `models compare` and `predict`, as a person types them."""

import json
from pathlib import Path

import numpy as np
import pytest
import uuid6
from typer.testing import CliRunner

from components.labels import CLASSES
from components.predictions import Prediction
from flows.cli import app
from flows.context import journal

RUNNER = CliRunner()


def told(*words: str, code: int = 0) -> object:
    """The one JSON document of a command."""
    done = RUNNER.invoke(app, [*words, "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def said(*words: str, code: int = 0) -> str:
    done = RUNNER.invoke(app, [*words], env={"COLUMNS": "200"})
    assert done.exit_code == code, done.output
    return done.output


def answered(count: int, version: str = "1", role: str = "champion", ids: tuple[str, ...] = ()) -> list[str]:
    """So many predictions in the spool; their ids."""
    found = ids or tuple(uuid6.uuid7().hex for _ in range(count))
    rng = np.random.default_rng(int(version))
    journal().spool.add([
        Prediction(id, version, role, rng.dirichlet(np.ones(7)).astype(np.float32), False, 100.0, 40.0, 500.0, 48, 5.0)
        for id in found
    ])  # fmt: skip
    return list(found)


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FERLINE_SERVE_KEYS", str(tmp_path / "keys.json"))
    return tmp_path / "keys.json"


def test_keys_are_made_listed_and_taken_back(keys: Path) -> None:
    made = told("keys", "add", "anna", "--per-minute", "7")
    assert isinstance(made, dict)
    assert made["name"] == "anna"
    assert made["key"] not in keys.read_text()
    assert len(said("keys", "add", "ben").strip()) > 40  # the key and nothing else, for $(...)
    assert told("keys", "list") == [{"name": "anna", "per_minute": 7}, {"name": "ben", "per_minute": 600}]
    assert "ben" in said("keys", "list")
    said("keys", "remove", "anna")
    assert told("keys", "list") == [{"name": "ben", "per_minute": 600}]
    assert "no key 'anna'" in said("keys", "remove", "anna", code=1)


def test_keys_need_a_file() -> None:
    assert "FERLINE_SERVE_KEYS" in said("keys", "list", code=2)


def test_a_prediction_is_shown_and_removed(tmp_path: Path) -> None:
    ids = answered(3)
    journal().label(ids[0], CLASSES.index("fear"))
    (waiting,) = told("log", "show", ids[0])  # type: ignore[misc]
    assert told("log", "ship") == {"shipped": 3}
    (stored,) = told("log", "show", ids[0])  # type: ignore[misc]
    assert waiting == stored
    assert waiting["label"] == "fear"
    assert waiting["answer"] in CLASSES
    assert set(waiting["probabilities"]) == set(CLASSES)
    assert "fear" in said("log", "show", ids[0])
    assert told("log", "delete", ids[0]) == {"id": ids[0], "deleted": 1}
    for command in ("show", "delete"):
        assert "on record" in said("log", command, ids[0], code=5)
        assert "no id" in said("log", command, "x", code=5)
    assert told("log", "prune") == {"removed": []}


def test_versions_are_compared_by_what_they_answered() -> None:
    assert "holds nothing" in said("models", "compare")
    ids = answered(40)
    answered(0, "2", "shadow", tuple(ids))
    for id in ids[:20]:
        journal().label(id, 3)
    found = told("models", "compare")
    assert isinstance(found, dict)
    assert [v["version"] for v in found["versions"]] == ["1", "2"]
    assert found["pairs"][0]["faces"] == 40
    assert found["pairs"][0]["labelled"] == 20
    text = said("models", "compare", "--days", "1")
    assert "1 and 2" in text
    assert "shadow" in text


def test_predict_tells_what_is_wrong(tmp_path: Path) -> None:
    out = str(tmp_path / "out.parquet")
    assert "champion" in said("predict", str(tmp_path), "--out", out, code=5)
    assert "auto" in said("predict", str(tmp_path), "--out", out, "--face", "some", code=2)
