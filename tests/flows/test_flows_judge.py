"""A challenger whose promotion meets another champion than it was judged against."""

import json
import logging
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from components.errors import ChampionChanged
from flows import train
from flows.outcome import CandidateOutcome
from flows.parameters import PromotionParameters

BEST = CandidateOutcome("quick", "runs/1", "evaluations/1")


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Champions that take the place between a judgement and its promotion, first to last; none is left at the end."""
    left: list[str] = []

    def once(best: CandidateOutcome, dataset: str, promotion: PromotionParameters) -> train.Judgement:
        if left:
            raise ChampionChanged(f"now version {left.pop(0)} is.")
        return train.Judgement("Promoted", "decisions/1.json", "9")

    monkeypatch.setattr(train, "_judge_once", once)
    monkeypatch.setattr(train, "get_run_logger", lambda: logging.getLogger("judge"))
    return left


def test_it_is_judged_again_against_the_new_one(changes: list[str], caplog: Any) -> None:
    changes += ["2", "3"]
    assert train._judge(BEST, "datasets/1", PromotionParameters()).verdict == "Promoted"
    assert [record.message for record in caplog.records] == [
        "now version 2 is. It is judged again.", "now version 3 is. It is judged again.",
    ]  # fmt: skip


def test_a_place_that_never_rests_is_an_error_in_the_end(changes: list[str]) -> None:
    changes += ["2", "3", "4", "5"]
    with pytest.raises(ChampionChanged, match="version 4"):
        train._judge(BEST, "datasets/1", PromotionParameters())
    assert changes == ["5"]


@pytest.mark.parametrize(("status", "verdict"), [("rolled-back", "Waiting"), ("registered", "Promoted")])
def test_a_version_that_was_rolled_back_waits_for_a_person(
    status: str, verdict: str, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    champion = SimpleNamespace(model_sha256="1" * 64, version="1", dataset="d")
    replaced = {
        "registry": lambda: SimpleNamespace(get=lambda version: SimpleNamespace(status=status)),
        "reconcile": lambda *_, **__: champion,
        "model_folder": lambda uri: SimpleNamespace(onnx=uri),
        "file_sha256": lambda path: "2" * 64,
        "_opponent": lambda *_: (None, None),
        "_learned": lambda *_: 3,
        "gate_task": lambda *_: "decisions/1.json",
        "register_task": lambda *_: "2",
        "promote_task": lambda version, uri: version,
        "Decision": SimpleNamespace(from_json=lambda text: SimpleNamespace(verdict="promote")),
        "get_run_logger": lambda: logging.getLogger("judge"),
    }
    for name, value in replaced.items():
        monkeypatch.setattr(train, name, value)
    train.store().put_bytes("decisions/1.json", b"")
    judged = train._judge_once(BEST, "datasets/1", PromotionParameters())
    assert (judged.verdict, judged.champion) == (verdict, "1" if verdict == "Waiting" else "2")
    assert ("models promote 2 --force --reason" in caplog.text) == (verdict == "Waiting")
    assert "champion 1 has learned 3 of the test images" in caplog.text


def test_test_images_that_the_champion_has_learned_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def manifest(**splits: str) -> SimpleNamespace:
        rows = [(split, sha256) for split, images in splits.items() for sha256 in images]
        return SimpleNamespace(manifest=pd.DataFrame(rows, columns=["split", "sha256"]))

    versions = {
        "datasets/theirs": manifest(Training="abcdex", PublicTest="fx"),  # x: a copy, which any recipe may leave out
        "datasets/ours": manifest(Training="af", PublicTest="bcx", PrivateTest="de"),
    }
    monkeypatch.setattr(train, "fetch", lambda uri: uri)
    monkeypatch.setattr(train, "open_dataset", versions.__getitem__)
    champion: Any = SimpleNamespace(dataset="theirs")
    assert train._learned(champion, "datasets/ours") == 0, "its dataset is not in the store"
    train.store().put_bytes("datasets/theirs", b"")
    assert train._learned(champion, "datasets/ours") == 2
    assert train._learned(None, "datasets/ours") == 0


@pytest.mark.parametrize(("kind", "drawn"), [("synthetic", True), ("csv", False)])
def test_a_grown_dataset_is_drawn_where_what_it_grew_from_is(kind: str, drawn: bool) -> None:
    base = "ab" * 32
    for name, origin in (
        (base[:16], {"kind": kind, "options": {}}),
        ("grown", {"kind": "feedback", "options": {"base": base}}),
    ):
        train.store().put_bytes(f"datasets/{name}/dataset.json", json.dumps({"origin": origin}).encode())
    assert train._is_drawn("s3://bucket/datasets/grown") is drawn
    assert not train._is_drawn("datasets/elsewhere")
