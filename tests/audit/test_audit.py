"""The audit finds planted wrong labels, goes on where it was stopped, and its list is one that a recipe can name."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from transformers import ViTConfig, ViTModel

from components.audit import AuditReport, audit
from components.balancing import DataRecipe, select
from components.dataset import Dataset, open_dataset
from components.errors import RecipeError
from components.ingest import IngestOptions, ingest
from components.labels import CLASSES, TRAINING
from components.training.recipes import load_preset, override, read_recipe, tiny
from components.training.records import Recipe

EACH, WRONG = 60, 6  # images a class in Training, and how many of them carry another class's picture


def patch(label: int, rng: np.random.Generator) -> np.ndarray:
    """48x48 noise with a bright square whose place is the class."""
    face = rng.integers(0, 120, (48, 48))
    top, left = divmod(label, 3)
    face[top * 16 : top * 16 + 16, left * 16 : left * 16 + 16] += 120
    return face.astype(np.uint8)


@pytest.fixture(scope="module")
def mislabelled(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root, rng = tmp_path_factory.mktemp("faces"), np.random.default_rng(0)
    for split, count, wrong in (("train", EACH, WRONG), ("test", 8, 0)):
        for label, name in enumerate(CLASSES):
            (root / split / name).mkdir(parents=True)
            for k in range(count):
                shown = (label + 1) % 7 if k < wrong else label
                Image.fromarray(patch(shown, rng)).save(
                    root / split / name / f"{'wrong' if k < wrong else 'ok'}{k}.png"
                )
    return open_dataset(ingest(str(root), tmp_path_factory.mktemp("version"), IngestOptions()).folder)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return override(tiny(load_preset("quick")), ["epochs=12", "batch_size=16", "optimizer.lr=0.003", "augment.flip=0"])


@pytest.fixture(scope="module")
def audited(mislabelled: Dataset, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[AuditReport, Path]:
    out = tmp_path_factory.mktemp("audit")
    return audit(mislabelled, "quick", recipe, out, 2, lambda _: None), out


def test_planted_labels_are_found(audited: tuple[AuditReport, Path], mislabelled: Dataset) -> None:
    report, out = audited
    listed = pd.read_csv(out / "exclude.csv")
    manifest = mislabelled.manifest.set_index("id").loc[listed["id"]]
    planted = manifest["source"].str.contains("wrong").to_numpy()
    assert planted.sum() > 0.8 * 7 * WRONG, f"{planted.sum()} of {7 * WRONG} found"
    assert planted.mean() > 0.6, f"{planted.mean():.2f} of {len(listed)} listed were planted"
    following = {name: CLASSES[(k + 1) % 7] for k, name in enumerate(CLASSES)}
    assert (listed["suggestion"] == listed["label"].map(following))[planted].mean() > 0.9
    assert listed["quality"].is_monotonic_increasing
    assert report.found == len(listed) == sum(report.by_class.values()) == sum(pair.images for pair in report.pairs)
    assert report.images == len(mislabelled.rows(TRAINING)) == len(np.load(out / "probabilities.npy"))


def test_an_audit_that_was_stopped_goes_on(
    audited: tuple[AuditReport, Path], mislabelled: Dataset, recipe: Recipe
) -> None:
    report, out = audited
    (out / "audit.json").unlink()
    before = {run: (run / "summary.json").stat().st_mtime_ns for run in out.glob("fold-*")}
    again = audit(mislabelled, "quick", recipe, out, 2, lambda _: None)
    assert again == report
    assert before == {run: (run / "summary.json").stat().st_mtime_ns for run in out.glob("fold-*")}


def test_no_image_is_judged_by_a_model_that_knows_it_or_its_twin(
    audited: tuple[AuditReport, Path], mislabelled: Dataset
) -> None:
    near = mislabelled.manifest["near_group"].to_numpy()
    judged = []
    for run in sorted(audited[1].glob("fold-*")):
        with np.load(run / "sample.npz") as sample:
            known = np.concatenate([sample["train"], sample["validation"]])
        rest = np.setdiff1d(mislabelled.rows(TRAINING), known)
        assert not set(near[rest]) & set(near[known])
        judged.append(rest)
    assert sorted(np.concatenate(judged)) == list(mislabelled.rows(TRAINING))


@pytest.mark.parametrize("form", ["folder", "file"])
def test_a_recipe_leaves_the_listed_images_out(
    form: str, audited: tuple[AuditReport, Path], mislabelled: Dataset
) -> None:
    report, out = audited
    where = out if form == "folder" else out / "exclude.csv"
    selection = select(mislabelled, DataRecipe(exclude=str(where)))
    listed = set(pd.read_csv(out / "exclude.csv")["id"])
    assert selection.counts["excluded"] == report.found
    assert not set(mislabelled.manifest["id"].iloc[selection.kept]) & listed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id\nffffffffffffffff\n", r"1 of the 1 ids in .* ffffffffffffffff: the list belongs to another dataset"),
        ("name\na\n", r"data.exclude is .* column id"),
        (None, r"data.exclude is .* Name an audit's folder"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(
    content: str | None, message: str, mislabelled: Dataset, tmp_path: Path
) -> None:
    file = tmp_path / "list.csv"
    if content:
        file.write_text(content)
    with pytest.raises(RecipeError, match=message):
        select(mislabelled, DataRecipe(exclude=str(file)))


@pytest.mark.parametrize("folds", [1, EACH + 1])
def test_impossible_numbers_of_folds_are_refused(
    folds: int, mislabelled: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=rf"{folds} folds: 2 to {EACH} are possible"):
        audit(mislabelled, "quick", recipe, tmp_path, folds)


@pytest.mark.parametrize("key", ["model.pretrained", "distill.teacher"])
def test_a_run_that_has_learned_the_labels_judges_none_of_them(
    key: str, audited: tuple[AuditReport, Path], mislabelled: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    run = audited[1] / "fold-1"
    with pytest.raises(RecipeError, match=rf"{key} is {run}, a run that has learned the labels .* leave it empty"):
        audit(mislabelled, "quick", override(recipe, ["epochs=1", f"{key}={run}"]), tmp_path, 2)


@pytest.mark.parametrize("uri", ["", "s3://store/weights/hub"])
def test_an_audit_may_begin_with_weights_from_elsewhere(
    uri: str, mislabelled: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    config = ViTConfig(image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                       intermediate_size=64)  # fmt: skip
    ViTModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "hub")
    begun = override(recipe, ["epochs=1", "model.name=vit", f"model.pretrained={uri or tmp_path / 'hub'}"])
    report = audit(mislabelled, "quick", begun, tmp_path / "audit", 2, lambda _: None, {uri: tmp_path / "hub"})
    assert report.images == len(mislabelled.rows(TRAINING))


def test_a_run_that_has_learned_the_labels_is_seen_in_a_store_too(
    audited: tuple[AuditReport, Path], mislabelled: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    uri = "s3://store/runs/one"
    begun = override(recipe, ["epochs=1", f"model.pretrained={uri}"])
    with pytest.raises(RecipeError, match=rf"model.pretrained is {uri}, a run that has learned the labels"):
        audit(mislabelled, "quick", begun, tmp_path, 2, lambda _: None, {uri: audited[1] / "fold-1"})


def test_a_loss_that_weighs_classes_weighs_none_in_an_audit(
    mislabelled: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    weighted = override(recipe, ["epochs=1", "loss.name=weighted", "loss.label_smoothing=0.1"])
    report = audit(mislabelled, "quick", weighted, tmp_path, 2, lambda _: None)
    trained = read_recipe(tmp_path / "fold-2").loss
    assert (trained.name, trained.label_smoothing) == ("cross-entropy", 0.1)
    assert report.recipe_sha256 == weighted.digest
