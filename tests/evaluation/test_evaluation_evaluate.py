"""One evaluation from a model and a dataset to a folder."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from components.dataset import Dataset
from components.errors import DataError
from components.evaluation.calibration import expected_calibration_error, uncalibrated
from components.evaluation.digest import images_digest
from components.evaluation.evaluate import evaluate
from components.evaluation.metrics import figures
from components.evaluation.records import Evaluation
from components.evaluation.scoring import Speed, score
from components.labels import CLASSES


def test_the_folder_holds_the_record_the_predictions_and_two_pictures(evaluated: tuple[Evaluation, Path]) -> None:
    evaluation, out = evaluated
    assert sorted(path.name for path in out.iterdir()) == [
        "confusion.png",
        "evaluation.json",
        "predictions.parquet",
        "reliability.png",
    ]
    assert Evaluation.from_json((out / "evaluation.json").read_text()) == evaluation
    assert list(out.parent.iterdir()) == [out]


def test_the_figures_are_those_of_the_predictions(evaluated: tuple[Evaluation, Path], tiny_dataset: Dataset) -> None:
    evaluation, out = evaluated
    frame = pd.read_parquet(out / "predictions.parquet")
    answers = frame[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(1)
    assert frame["id"].tolist() == tiny_dataset.manifest.loc[tiny_dataset.rows("PublicTest"), "id"].tolist()
    assert evaluation.figures.accuracy == pytest.approx(accuracy_score(frame["label"], answers))
    macro = f1_score(frame["label"], answers, average="macro", zero_division=0)
    assert evaluation.figures.macro_f1 == pytest.approx(macro)
    assert evaluation.figures.n == len(frame) == sum(map(sum, evaluation.confusion))
    assert evaluation.test_digest == images_digest(frame)


def test_the_probabilities_are_the_models(
    evaluated: tuple[Evaluation, Path], learned_model: Path, tiny_dataset: Dataset
) -> None:
    frame = pd.read_parquet(evaluated[1] / "predictions.parquet")
    ours = frame[[f"p_{name}" for name in CLASSES]].to_numpy()
    theirs = score(learned_model, np.asarray(tiny_dataset.images[tiny_dataset.rows("PublicTest")])).probabilities
    assert np.abs(ours - theirs).max() < 1e-6, f"max {np.abs(ours - theirs).max():.2e}"


def test_slices_behaviour_and_speed_are_told(evaluated: tuple[Evaluation, Path]) -> None:
    evaluation, _ = evaluated
    assert {"dark", "bright", "flat", "contrasty"} <= {part.name for part in evaluation.slices}
    assert {b.name: b.n for b in evaluation.behaviour}["jpeg"] == evaluation.figures.n
    assert evaluation.latency_ms > 0
    assert evaluation.ece != evaluation.ece_uncalibrated


def test_every_figure_is_of_the_images_it_names(
    learned_model: Path, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tiny_dataset.rows("PublicTest")
    twin, light = np.arange(len(rows)) < 30, tiny_dataset.manifest.loc[rows, "brightness"].to_numpy()
    group = np.arange(len(tiny_dataset.manifest))
    group[rows[twin]] = tiny_dataset.rows("Training")[0]
    dataset = replace(tiny_dataset, manifest=tiny_dataset.manifest.assign(near_group=group))
    monkeypatch.setattr("components.evaluation.evaluate.speed", lambda *_: Speed(2.0, 300.0))
    evaluation = evaluate(learned_model, dataset, "PublicTest", tmp_path / "e", "m", 1.5)

    frame = pd.read_parquet(tmp_path / "e" / "predictions.parquet")
    labels, probabilities = frame["label"].to_numpy(np.int64), frame[[f"p_{name}" for name in CLASSES]].to_numpy()
    answers = probabilities.argmax(1)
    assert evaluation.twins == 30
    assert evaluation.without_twins == figures(probabilities[~twin], labels[~twin])
    slices = {part.name: part.figures for part in evaluation.slices}
    for name, mask in {"with a twin in Training": twin, "dark": light <= np.quantile(light, 1 / 3)}.items():
        assert slices[name] == figures(probabilities[mask], labels[mask])
    assert evaluation.ece == expected_calibration_error(probabilities, labels)
    assert evaluation.ece_uncalibrated == expected_calibration_error(uncalibrated(probabilities, 1.5), labels)
    assert evaluation.confusion == tuple(
        tuple(int(((labels == true) & (answers == said)).sum()) for said in range(7)) for true in range(7)
    )
    for found, expected in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        by_class = expected(labels, answers, average=None, labels=range(7), zero_division=0)
        assert [getattr(c, found) for c in evaluation.per_class] == pytest.approx(by_class.tolist())
    assert [c.support for c in evaluation.per_class] == np.bincount(labels, minlength=7).tolist()
    assert (evaluation.latency_ms, evaluation.images_per_second) == (2.0, 300.0)


def test_progress_runs_once_from_none_to_all(learned_model: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    evaluate(learned_model, tiny_dataset, "PublicTest", tmp_path / "e", "m", 1.0, lambda *at: seen.append(at))
    done = [done for done, _ in seen]
    assert done == sorted(set(done))
    assert seen[-1] == (7 * 70, 7 * 70)  # as they are, and under six changes


def test_a_folder_that_is_there_already_is_left_alone(
    evaluated: tuple[Evaluation, Path], learned_model: Path, tiny_dataset: Dataset
) -> None:
    with pytest.raises(DataError, match="is there already"):
        evaluate(learned_model, tiny_dataset, "PublicTest", evaluated[1], "m", 1.0)


def test_an_evaluation_that_fails_leaves_nothing(write_model, tiny_dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "evaluations" / "e"
    with pytest.raises(DataError, match="32x32"):
        evaluate(write_model(side=32), tiny_dataset, "PublicTest", out, "m", 1.0)
    with pytest.raises(DataError, match="no split 'Public'"):
        evaluate(write_model(), tiny_dataset, "Public", out, "m", 1.0)
    assert not out.parent.exists()


@pytest.mark.parametrize("change", ["image", "label", "order", "one fewer"])
def test_the_digest_names_images_labels_and_order(tiny_dataset: Dataset, change: str) -> None:
    frame = tiny_dataset.manifest.loc[tiny_dataset.rows("PublicTest")].reset_index(drop=True)
    other = {
        "image": frame.assign(id=["0" * 16, *frame["id"][1:]]),
        "label": frame.assign(label=[(frame["label"][0] + 1) % 7, *frame["label"][1:]]),
        "order": frame[::-1],
        "one fewer": frame[1:],
    }[change]
    assert images_digest(frame) == images_digest(frame[["label", "id"]].copy())
    assert images_digest(other) != images_digest(frame)


def test_a_model_without_images_free_of_twins_has_no_such_figures(
    learned_model: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    dataset = replace(tiny_dataset, manifest=tiny_dataset.manifest.assign(near_group=1))
    evaluation = evaluate(learned_model, dataset, "PublicTest", tmp_path / "e", "m", 1.0)
    assert (evaluation.twins, evaluation.without_twins) == (evaluation.figures.n, None)
    assert Evaluation.from_json(evaluation.to_json()) == evaluation


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda raw: {**raw, "schema_version": 99}, "schema_version 99"),
        (lambda raw: {**raw, "colour": "blue"}, "lacks or adds a field"),
        (lambda raw: {name: raw[name] for name in raw if name != "figures"}, "lacks or adds a field: 'figures'"),
        (lambda raw: [raw], "is no JSON record"),
    ],
)
def test_a_record_of_another_form_is_refused(evaluated: tuple[Evaluation, Path], damage, words: str) -> None:
    raw = json.loads(evaluated[0].to_json())
    with pytest.raises(DataError, match=words):
        Evaluation.from_json(json.dumps(damage(raw)))
    with pytest.raises(DataError, match="is no JSON record"):
        Evaluation.from_json(evaluated[0].to_json()[:-5])
