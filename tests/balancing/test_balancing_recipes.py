"""Recipes, saved samples, and what is said when something is missing."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError

from components.balancing import (
    BalanceRecipe,
    DataRecipe,
    Sample,
    build_sample,
    class_counts,
    paper_targets,
    validation_slice,
)
from components.dataset import PRODUCTION, Dataset
from components.errors import DataError, RecipeError
from components.labels import CLASSES, TRAINING


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: BalanceRecipe(max_class_limit=0.2), r"balance.max_class_limit is 0.2; .* between 0.35 and 0.6"),
        (lambda: BalanceRecipe(oversample_factor=4), r"balance.oversample_factor is 4; .* between 1.5 and 3"),
        (lambda: BalanceRecipe(method="smote"), r"balance.method is 'smote'; .* none, paper, sampler"),
        (lambda: DataRecipe(validation_share=0.0), r"data.validation_share is 0.0; .* between 0.01 and 0.5"),
        (lambda: DataRecipe(leaked="drop"), r"data.leaked is 'drop'; .* remove, keep"),
        (lambda: DataRecipe(copies="last"), r"data.copies is 'last'; .* keep, first"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_range(build: object, says: str) -> None:
    assert callable(build)
    with pytest.raises(RecipeError, match=says):
        build()


@pytest.mark.parametrize("recipe", [DataRecipe, BalanceRecipe])
def test_recipes_make_a_form_with_descriptions_and_refuse_unknown_keys(recipe: type) -> None:
    adapter = TypeAdapter(recipe)
    properties = adapter.json_schema()["properties"]
    assert all(entry["description"] for entry in properties.values())
    with pytest.raises(ValidationError, match="Unexpected keyword argument"):
        adapter.validate_python({"leak": "keep"})


def test_the_limit_gives_the_counts_that_the_decision_page_shows() -> None:
    training = dict(enumerate([3995, 436, 4097, 7215, 4830, 3171, 4965]))
    after = paper_targets(training, BalanceRecipe())
    assert list(after.values()) == [2886, 872, 2886, 2886, 2886, 2886, 2886]
    page = (Path(__file__).parents[2] / "docs/decisions/0003-balancing-limit.md").read_text()
    assert f"{sum(after.values()):,} |" in page


@pytest.mark.parametrize("method", ["none", "paper", "sampler"])
def test_a_sample_survives_its_file_and_equal_samples_are_equal_bytes(
    tiny_dataset: Dataset, tmp_path: Path, method: str
) -> None:
    _, sample = build_sample(tiny_dataset, DataRecipe(), BalanceRecipe(method=method), seed=3)
    sample.save(tmp_path / "a.npz")
    Sample.load(tmp_path / "a.npz").save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert Sample.load(tmp_path / "a.npz").digest == sample.digest


def test_another_seed_gives_another_sample(tiny_dataset: Dataset) -> None:
    digests = {build_sample(tiny_dataset, DataRecipe(), BalanceRecipe(), seed)[1].digest for seed in range(3)}
    assert len(digests) == 3


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04cut short", None])
def test_a_file_that_is_no_sample_is_said_to_be_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "sample.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"sample\.npz is no sample"):
        Sample.load(path)


def test_a_sample_with_other_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "sample.npz", train=np.zeros(3))
    with pytest.raises(DataError, match="is no sample"):
        Sample.load(tmp_path / "sample.npz")


def test_validation_takes_its_share_of_every_class(tiny_dataset: Dataset) -> None:
    rows = tiny_dataset.rows(TRAINING)
    chosen = validation_slice(tiny_dataset, rows, share=0.2, seed=0)
    before, taken = class_counts(tiny_dataset, rows), class_counts(tiny_dataset, chosen)
    for name in CLASSES:
        assert abs(taken[name] - 0.2 * before[name]) <= 2, f"{name}: {taken[name]} of {before[name]}"
        assert taken[name] > 0


def test_a_grown_dataset_keeps_the_slice_but_for_what_production_touches(tiny_dataset: Dataset) -> None:
    rows = tiny_dataset.rows(TRAINING)
    before = set(validation_slice(tiny_dataset, rows, share=0.2, seed=0).tolist())
    known = tiny_dataset.manifest
    twin = known.loc[sorted(before)[:1]].assign(source=f"{PRODUCTION}1", sha256="f" * 64)
    added = known.loc[rows[:5]].assign(source=f"{PRODUCTION}2", near_group=range(10**6, 10**6 + 5), sha256="e" * 64)
    manifest = pd.concat([known, twin, added], ignore_index=True)
    grown = replace(tiny_dataset, manifest=manifest)
    after = set(validation_slice(grown, np.append(rows, range(len(known), len(manifest))), share=0.2, seed=0).tolist())
    gone = before - after
    assert gone == {k for k in before if known["near_group"][k] == twin["near_group"].iloc[0]}
    assert len(after - before) <= len(gone) + 1
    assert before != set(validation_slice(tiny_dataset, rows, share=0.2, seed=1).tolist())


def test_without_imbalanced_learn_only_the_method_that_needs_it_fails(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.startswith("imblearn")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "imblearn", None)
    for method in ("none", "sampler"):
        build_sample(tiny_dataset, DataRecipe(), BalanceRecipe(method=method), seed=0)
    with pytest.raises(RecipeError, match="needs imbalanced-learn"):
        build_sample(tiny_dataset, DataRecipe(), BalanceRecipe(method="paper"), seed=0)
