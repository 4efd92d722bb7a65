"""Promotion, rejection, rollback: by a decision, by force, refused, and by two processes at once."""

import dataclasses
import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from components.dataset import file_sha256
from components.errors import ChampionChanged, GateError, ModelNotFound, RegistryError
from components.registry import Registry, history, reconcile, reject
from components.store import LocalStore


def test_the_first_model_becomes_champion_by_its_decision(desk):
    entry = desk.promote("1", desk.decide("1", None))
    assert (entry.action, entry.from_version, entry.to_version, entry.forced) == ("promote", None, "1", False)
    assert desk.aliases() == {"champion": "1", "challenger": "4"}
    assert desk.registry.get("1").tags["ferline.decision"] == "decisions/1.json"


def test_the_old_champion_becomes_previous(desk):
    desk.promote("1", desk.decide("1", None))
    desk.promote("2", desk.decide("2", "1"))
    assert desk.aliases() == {"champion": "2", "previous": "1", "challenger": "4"}
    assert desk.statuses() == {"1": "retired", "2": "champion", "3": "registered", "4": "registered"}
    assert [e.from_version for e in history(desk.store, "faces") if e.moves_champion] == [None, "1"]


def test_promoting_the_champion_again_changes_nothing(desk):
    first = desk.promote("1", desk.decide("1", None))
    assert desk.promote("1", desk.decide("1", None)) == first
    assert desk.actions() == [("promote", "1")]


def test_a_decision_against_another_champion_is_stale(desk):
    stale = desk.decide("2", None)
    desk.promote("1", desk.decide("1", None))
    with pytest.raises(
        ChampionChanged, match=r"champion has changed .* was none, now version 1 is\. Run the gate again"
    ):
        desk.promote("2", stale)
    assert desk.aliases()["champion"] == "1"


def test_a_decision_about_another_model_is_refused(desk):
    with pytest.raises(GateError, match="the decision is about model"):
        desk.promote("2", desk.decide("1", None))
    assert desk.actions() == []


def test_a_failing_decision_is_refused_and_names_its_rules(desk):
    with pytest.raises(GateError, match=r"macro_f1_floor 0\.2.*--force"):
        desk.promote("1", desk.decide("1", None, "reject"))
    assert "champion" not in desk.aliases()


def test_without_a_decision_only_force_with_a_reason_promotes(desk):
    with pytest.raises(GateError, match="no decision"):
        desk.promote("1", None)
    with pytest.raises(GateError, match="needs a reason"):
        desk.force("1", "")
    entry = desk.force("1", "demo on Friday")
    assert (entry.forced, entry.reason, entry.decision_uri) == (True, "demo on Friday", None)
    assert history(desk.store, "faces")[-1] == entry


def test_a_broken_model_leaves_the_champion_untouched_even_by_force(desk):
    desk.promote("1", desk.decide("1", None))
    before = desk.aliases(), desk.actions(), desk.statuses()
    with pytest.raises(RegistryError, match="differs from its stored examples"):
        desk.promote("3", desk.decide("3", "1"))
    with pytest.raises(RegistryError, match="differs from its stored examples"):
        desk.force("3", "I know better")
    assert (desk.aliases(), desk.actions(), desk.statuses()) == before


def test_a_rejected_challenger_is_marked_and_kept(desk, tmp_path):
    decision = desk.decide("4", None, "reject")
    again = [
        reject(desk.registry, desk.store, version="4", decision=decision, decision_uri="decisions/4.json", who="tests",
               lock_folder=desk.locks)
        for _ in range(2)
    ]  # fmt: skip
    assert again[0] == again[1]
    assert again[0].reason == "failed: macro_f1_floor 0.2"
    assert desk.statuses()["4"] == "rejected"
    assert "challenger" not in desk.aliases()
    assert (desk.registry.download("4", tmp_path) / "model.onnx").is_file()


def test_the_champion_is_not_rejected(desk):
    desk.promote("1", desk.decide("1", None))
    before = desk.aliases(), desk.statuses(), history(desk.store, "faces")
    with pytest.raises(GateError, match="version 1 is champion; roll back to replace it"):
        reject(
            desk.registry, desk.store, version="1", decision=desk.decide("1", None, "reject"),
            decision_uri="decisions/1.json", who="tests", lock_folder=desk.locks,
        )  # fmt: skip
    assert (desk.aliases(), desk.statuses(), history(desk.store, "faces")) == before


def test_rollback_gives_the_place_back_and_is_recorded(desk):
    desk.promote("1", desk.decide("1", None))
    desk.promote("2", desk.decide("2", "1"))
    entry = desk.rollback()
    assert (entry.action, entry.from_version, entry.to_version, entry.reason) == (
        "rollback", "2", "1", "worse in service",
    )  # fmt: skip
    assert desk.aliases() == {"champion": "1", "previous": "2", "challenger": "4"}
    assert desk.statuses() == {"1": "champion", "2": "rolled-back", "3": "registered", "4": "registered"}


def test_a_second_rollback_does_not_bring_back_what_was_rolled_back_unless_named(desk):
    desk.promote("1", desk.decide("1", None))
    desk.promote("2", desk.decide("2", "1"))
    desk.rollback()
    with pytest.raises(GateError, match=r"`previous` is version 2, which tests rolled back .* --to VERSION"):
        desk.rollback()
    assert desk.rollback("2").to_version == "2"


@pytest.mark.parametrize("rejected_since", [False, True])
def test_what_was_rolled_back_passes_the_gate_in_vain_and_is_promoted_by_force_alone(desk, rejected_since):
    desk.promote("1", desk.decide("1", None))
    desk.promote("2", desk.decide("2", "1"))
    desk.rollback()
    if rejected_since:
        reject(desk.registry, desk.store, version="2", decision=desk.decide("2", "1", "reject"),
               decision_uri="decisions/since.json", who="tests", lock_folder=desk.locks)  # fmt: skip
    with pytest.raises(GateError, match=r"version 2 of faces was rolled back: --force with --reason"):
        desk.promote("2", desk.decide("2", "1"))
    assert desk.aliases()["champion"] == "1"
    assert desk.force("2", "the complaints were about the camera").to_version == "2"


def test_rollback_goes_only_to_what_was_champion(desk):
    with pytest.raises(ModelNotFound, match="champion"):
        desk.rollback()
    desk.promote("1", desk.decide("1", None))
    with pytest.raises(ModelNotFound, match="previous"):
        desk.rollback()
    with pytest.raises(GateError, match="never was champion"):
        desk.rollback("2")
    with pytest.raises(GateError, match="is champion already"):
        desk.rollback("1")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("lost", "lacks model.onnx"),
        ("garbage", "does not answer"),
        ("nan", "differs from its stored examples by nan"),
        ("exchanged", "not the registered"),
    ],
)
def test_rollback_to_a_broken_target_is_refused(empty_desk, package, damage, words):
    desk = empty_desk
    for seed in (1, 2):
        version = desk.register(package(seed)).version
        desk.promote(version, desk.decide(version, desk.aliases().get("champion")))
    models = (desk.root / "artifacts").rglob("model.onnx")
    model = next(path for path in models if file_sha256(path) == desk.registry.get("1").model_sha256)
    if damage == "lost":
        model.unlink()
    elif damage == "garbage":
        model.write_bytes(b"no graph")
    else:
        rewrite(model, damage)
    with pytest.raises(RegistryError, match=words):
        desk.rollback()
    assert desk.aliases() == {"champion": "2", "previous": "1"}
    assert desk.actions()[-1] == ("promote", "2")


def rewrite(model: Path, damage: str) -> None:
    """Another file that loads: one that answers nan, or one that answers as before."""
    graph = onnx.load(model)
    if damage == "nan":
        weights = graph.graph.initializer[-1]
        weights.CopyFrom(numpy_helper.from_array(np.full(weights.dims, np.nan, np.float32), weights.name))
    else:
        graph.producer_name = "somebody else"
    onnx.save(graph, model)


def test_the_files_of_a_checked_model_do_not_stay(desk, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    desk.promote("1", desk.decide("1", None))
    desk.promote("2", desk.decide("2", "1"))
    desk.rollback()
    with pytest.raises(RegistryError, match="differs from its stored examples"):
        desk.promote("3", desk.decide("3", "1"))
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("machines", [1, 2])
def test_of_two_promotions_at_once_exactly_one_wins(desk, machines):
    decisions = {"2": desk.decide("2", None), "4": desk.decide("4", None)}
    fork = multiprocessing.get_context("fork")
    start, results = fork.Barrier(2), fork.Queue()

    def race(version: str) -> None:
        root = desk.root / (version if machines == 2 else "")
        own = dataclasses.replace(desk, root=root, registry=_reopened(desk.registry))
        start.wait()
        try:
            results.put((version, own.promote(version, decisions[version]).number))
        except GateError as error:
            results.put((version, str(error)))

    racers = [fork.Process(target=race, args=(version,)) for version in decisions]
    for racer in racers:
        racer.start()
    outcome = dict(results.get(timeout=60) for _ in racers)
    for racer in racers:
        racer.join()
    winners = [version for version, said in outcome.items() if isinstance(said, int)]
    assert len(winners) == 1, outcome
    assert "Run the gate again" in outcome[({"2", "4"} - set(winners)).pop()]
    assert desk.actions() == [("promote", winners[0])]
    assert desk.aliases()["champion"] == winners[0]


class Overtaken(LocalStore):
    """A store on which another machine acts after a read of the ledger, or after this one's entry."""

    def __init__(self, root: Path, meanwhile: Callable[[], object], after: str) -> None:
        super().__init__(root)
        self.meanwhile, self.after = meanwhile, after

    def list(self, prefix: str) -> list[str]:
        names = super().list(prefix)
        self._overtake("list")
        return names

    def create(self, name: str, data: bytes) -> bool:
        made = super().create(name, data)
        self._overtake("create")
        return made

    def _overtake(self, step: str) -> None:
        if step == self.after:
            self.after = ""
            self.meanwhile()


@pytest.mark.parametrize("after", ["list", "create"])
def test_a_machine_that_was_overtaken_does_not_put_the_old_champion_back(desk, after):
    desk.promote("1", desk.decide("1", None))
    decision, bad = desk.decide("2", "1"), desk.decide("4", "1", "reject")
    other = dataclasses.replace(desk, root=desk.root / "other")
    store = Overtaken(desk.root / "store", lambda: other.promote("2", decision), after)
    if after == "list":
        assert reconcile(desk.registry, store, lock_folder=desk.locks).version == "2"
    else:
        reject(desk.registry, store, version="4", decision=bad, decision_uri="d", who="tests", lock_folder=desk.locks)
    aliases = desk.aliases()
    assert (aliases["champion"], aliases["previous"]) == ("2", "1")


def _reopened(registry: Registry, kind: type[Registry] = Registry) -> Registry:
    return kind(registry.tracking_uri, registry.artifact_root, registry.model_name)
