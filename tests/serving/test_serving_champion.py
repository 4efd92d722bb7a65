"""The alias moves, and the service follows: without a lost request, and never to a model that does not answer."""

import json
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest

from components.errors import ModelNotFound, RegistryError
from components.registry import ModelPackage, Registry
from components.registry.package import write_examples
from components.store import ABANDONED_S
from serving.champion import Champion
from serving.model import load_model


@pytest.fixture
def shelf(tmp_path: Path, packages: dict[str, ModelPackage], open_shelf):
    """A registry whose champion is the first model."""
    shelf = open_shelf(tmp_path / "home")
    shelf.promote(packages["first"])
    return shelf


def champion(shelf, wanted: str = "champion", registry: Registry | None = None) -> Champion:
    return Champion(registry or shelf.registry, shelf.home / "serving", wanted, poll_seconds=3600)


def broken(package: ModelPackage, tmp_path: Path) -> ModelPackage:
    """Examples that its model does not answer."""
    with np.load(package.examples) as stored:
        write_examples(stored["images"], np.roll(stored["probabilities"], 1, axis=1), tmp_path / "examples.npz")
    return replace(package, examples=tmp_path / "examples.npz")


def test_a_moved_alias_is_followed_and_a_pinned_version_is_not(shelf, packages) -> None:
    following, pinned = champion(shelf), champion(shelf, "1")
    following.start()
    pinned.start()
    shelf.promote(packages["second"])
    assert following.refresh()
    assert not pinned.refresh()
    assert (following.model().version.version, pinned.model().version.version) == ("2", "1")
    assert following.problem == pinned.problem == ""


def test_a_model_that_fails_its_examples_leaves_the_old_one_serving(shelf, packages, tmp_path: Path) -> None:
    serving = champion(shelf)
    serving.start()
    package = broken(packages["second"], tmp_path)
    registry = shelf.registry
    registry.set_alias("champion", registry.register(package).version)  # past the gate's own check
    assert not serving.refresh()
    assert serving.model().version.version == "1"
    assert "differs from its stored examples" in serving.problem
    assert not serving.refresh()
    assert "differs from its stored examples" in serving.problem  # still told, not tried again
    registry.set_alias("champion", "1")
    serving.refresh()
    assert serving.problem == ""
    registry.set_alias("champion", "2")
    assert not serving.refresh()
    assert "differs from its stored examples" in serving.problem  # an alias that comes back is looked at anew


class Flaky(Registry):
    """A registry whose artifacts cannot be fetched at first."""

    tries = 0

    def download(self, version: str, into: Path | None = None) -> Path:
        self.tries += 1
        if self.tries == 1:
            raise RegistryError("the artifact store does not answer")
        return super().download(version, into)


def test_a_download_that_failed_is_tried_again_and_leaves_nothing_behind(shelf) -> None:
    flaky = Flaky(f"sqlite:///{shelf.home / 'mlflow.db'}", shelf.home / "mlflow-artifacts", "ferline-fer")
    serving = champion(shelf, registry=flaky)
    assert not serving.refresh()
    assert "does not answer" in serving.problem
    assert list((shelf.home / "serving").iterdir()) == []
    assert serving.refresh()
    assert serving.problem == ""


def test_what_a_killed_download_left_goes_with_a_later_one(shelf) -> None:
    home = shelf.home / "serving"
    killed, young = home / ".1-0123456789abcdef-killed", home / ".1-0123456789abcdef-under-way"
    for folder in (killed, young):
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(b"half")
    long_ago = time.time() - 2 * ABANDONED_S
    os.utime(killed, (long_ago, long_ago))
    assert champion(shelf).refresh()
    assert not killed.exists()
    assert young.exists()


def test_a_copy_that_nobody_goes_back_to_goes_with_the_next_swap(shelf, packages) -> None:
    following, pinned = champion(shelf), champion(shelf, "1")
    assert following.refresh()
    assert pinned.refresh()
    pinned_folder, left, young = pinned.model().folder, following.home / "8-left", following.home / "9-young"
    left.mkdir()
    young.mkdir()
    long_ago = time.time() - 2 * ABANDONED_S
    for folder in (pinned_folder, left):
        os.utime(folder, (long_ago, long_ago))
    shelf.promote(packages["second"])
    assert following.refresh()
    copies = {path for path in following.home.iterdir() if path.is_dir()}
    assert copies == {pinned_folder, young, following.model().folder}


def test_a_version_registered_before_there_was_a_threshold_is_never_uncertain(shelf) -> None:
    folder = shelf.registry.download("1", shelf.home / "old")
    path = folder / "extra_files" / "package.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**{k: v for k, v in facts.items() if k != "uncertain_below"}, "schema_version": 1}))
    assert load_model(folder, shelf.registry.get("1")).package["uncertain_below"] == 0
    path.write_text(json.dumps({**facts, "schema_version": 99}))
    with pytest.raises(RegistryError, match="schema_version 99"):
        load_model(folder, shelf.registry.get("1"))


def test_an_exchanged_model_is_not_served_though_it_answers_alike(shelf) -> None:
    folder = shelf.registry.download("1", shelf.home / "exchanged")
    graph = onnx.load(folder / "model.onnx")
    graph.producer_name = "somebody else"
    onnx.save(graph, folder / "model.onnx")
    with pytest.raises(RegistryError, match="not the registered"):
        load_model(folder, shelf.registry.get("1"))


class Away(Registry):
    """A registry that cannot be reached."""

    def versions(self):
        raise RegistryError("the tracking server does not answer")


def test_with_the_registry_away_the_last_good_model_serves_on_across_a_restart(shelf) -> None:
    champion(shelf).start()
    away = Away(f"sqlite:///{shelf.home / 'mlflow.db'}", shelf.home / "mlflow-artifacts", "ferline-fer")
    restarted = champion(shelf, registry=away)
    restarted.start()
    assert restarted.model().version.version == "1"  # at once: the registry is asked behind it
    deadline = time.monotonic() + 30
    while "does not answer" not in restarted.problem and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "does not answer" in restarted.problem
    shutil.rmtree(shelf.home / "serving")
    fresh = champion(shelf, registry=away)
    fresh.start()
    with pytest.raises(ModelNotFound, match="does not answer"):
        fresh.model()


def test_what_is_served_is_a_copy_that_nobody_else_changes(shelf) -> None:
    serving = champion(shelf)
    serving.start()
    assert serving.model().folder.is_relative_to(shelf.home / "serving")
    assert [path for path in (shelf.home / "serving").iterdir() if path.name.startswith(".")] == []


def test_models_are_exchanged_under_load_without_a_failed_request(
    tmp_path: Path, packages: dict[str, ModelPackage], tiny_dataset, open_shelf, start, png
) -> None:
    shelf, body = open_shelf(tmp_path / "home"), png(tiny_dataset.images[-1])
    shelf.promote(packages["first"])
    statuses, versions, over = [], [], threading.Event()

    def ask(url: str) -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            while not over.is_set():
                answer = client.post("/predict", content=body)
                statuses.append(answer.status_code)
                versions.append(answer.json()["model"]["version"])

    with start(tmp_path) as service:
        clients = [threading.Thread(target=ask, args=(service.url,)) for _ in range(4)]
        for client in clients:
            client.start()
        for name in ("second", "cnn"):
            version = shelf.promote(packages[name])
            deadline = time.monotonic() + 60
            while versions[-1:] != [version] and time.monotonic() < deadline:
                time.sleep(0.05)
        over.set()
        for client in clients:
            client.join()
        refused = service.post("/explain", content=body)
        assert refused.status_code == 409
        assert "without attention" in refused.json()["error"]["message"]
    assert set(statuses) == {200}
    assert list(dict.fromkeys(sorted(versions))) == ["1", "2", "3"]
    assert len(statuses) > 20


def test_every_worker_follows_and_their_figures_are_summed(
    tmp_path: Path, packages, tiny_dataset, open_shelf, start, png
) -> None:
    shelf, body = open_shelf(tmp_path / "home"), png(tiny_dataset.images[-1])
    shelf.promote(packages["first"])
    with start(tmp_path, FERLINE_SERVE_WORKERS="2") as service:
        assert set(versions_of(service, body)) == {"1"}
        shelf.promote(packages["second"])
        until = time.monotonic() + 60
        while set(versions_of(service, body)) != {"2"} and time.monotonic() < until:
            time.sleep(0.2)
        assert set(versions_of(service, body)) == {"2"}
        lines = service.get("/metrics").text.splitlines()
        assert "ferline_swaps_total 2.0" in lines  # one in each worker
        counted = sum(float(line.split()[-1]) for line in lines if line.startswith("ferline_predictions_total"))
        assert counted >= 60


def versions_of(service, body: bytes) -> list[str]:
    """Versions that answer thirty requests, each over a connection of its own."""
    return [service.post("/predict", content=body).json()["model"]["version"] for _ in range(30)]


def test_without_any_champion_the_service_says_what_to_do(tmp_path: Path, start) -> None:
    (tmp_path / "home").mkdir()
    with start(tmp_path) as service:
        assert service.get("/readyz").status_code == 503
        answer = service.post("/predict", content=b"x")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert "make run" in answer.json()["error"]["message"]
        assert service.get("/").status_code == 200


def test_a_damaged_copy_is_fetched_again(shelf) -> None:
    """A power cut can tear what a restart finds."""
    first = champion(shelf)
    first.start()
    (first.model().folder / "model.onnx").write_bytes(b"torn")
    restarted = champion(shelf)
    restarted.start()
    assert restarted.model().version.version == "1"
    assert restarted.problem == ""


def test_a_challenger_of_an_earlier_time_does_not_answer_while_the_registry_is_away(shelf, packages) -> None:
    """It may have been withdrawn or rejected since."""
    shelf.registry.set_alias("challenger", shelf.registry.register(packages["second"]).version)
    before = Champion(shelf.registry, shelf.home / "serving", "challenger", 3600, optional=True)
    before.start()
    assert before.model().version.version == "2"
    away = Away(f"sqlite:///{shelf.home / 'mlflow.db'}", shelf.home / "mlflow-artifacts", "ferline-fer")
    after = Champion(away, shelf.home / "serving", "challenger", 3600, optional=True)
    after.start()
    assert after.current is None
