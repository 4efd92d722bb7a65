"""What holds for every dataset and recipe: hypothesis draws small manifests full of twins and conflicts."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from components.balancing import BalanceRecipe, DataRecipe, Sample, Selection, build_sample, paper_targets
from components.balancing.balance import TRANSFORMED
from components.dataset import Dataset, DatasetInfo, Origin, count
from components.errors import RecipeError
from components.labels import SPLITS, TRAINING

FEW = settings(max_examples=50, deadline=None)  # a busy core may take a second for one example

ROW = st.tuples(st.sampled_from([TRAINING, TRAINING, TRAINING, *SPLITS]), st.integers(0, 6), st.integers(0, 60))
"""Split, label and exact group; near-duplicate groups hold two or three exact ones."""

DATA = st.builds(
    DataRecipe,
    leaked=st.sampled_from(["remove", "keep"]),
    near_leaked=st.sampled_from(["remove", "keep"]),
    conflicts=st.sampled_from(["remove", "keep"]),
    copies=st.sampled_from(["keep", "first"]),
    validation_share=st.floats(0.01, 0.5),
)
BALANCE = st.builds(
    BalanceRecipe,
    method=st.sampled_from(["none", "paper", "sampler"]),
    max_class_limit=st.floats(0.35, 0.6),
    oversample_factor=st.floats(1.5, 3),
    sampler_power=st.floats(0, 1) | st.just(1.0),
)


@pytest.fixture(autouse=True, scope="module")
def _imported() -> None:
    """imbalanced-learn draws random numbers while imported, which hypothesis would hold against strategies."""
    importlib.import_module("imblearn.over_sampling")


def in_memory(rows: list[tuple[str, int, int]]) -> Dataset:
    """A dataset with these rows and no pixels worth the name."""
    manifest = pd.DataFrame(rows, columns=["split", "label", "exact_group"])
    manifest["near_group"] = manifest["exact_group"] * 2 // 5
    manifest["source"] = [f"drawn {k}" for k in range(len(rows))]
    manifest["sha256"] = [f"{group:064x}" for group in manifest["exact_group"]]
    info = DatasetInfo("f" * 64, len(rows), 1, 1, count(manifest), Origin("folder", "drawn"), {})
    return Dataset(Path("."), info, np.zeros((len(rows), 1, 1), np.uint8), manifest)


@st.composite
def samples(draw: st.DrawFn) -> tuple[Dataset, DataRecipe, BalanceRecipe, Selection, Sample]:
    """A dataset, two recipes and their outcome, where there is one."""
    dataset = in_memory(draw(st.lists(ROW, min_size=30, max_size=150)))
    data, balance = draw(DATA), draw(BALANCE)
    try:
        outcome = build_sample(dataset, data, balance, seed=0)
    except RecipeError:
        assume(False)
    return dataset, data, balance, *outcome


@FEW
@given(samples())
def test_only_training_rows_are_learned_from(
    drawn: tuple[Dataset, DataRecipe, BalanceRecipe, Selection, Sample],
) -> None:
    dataset, _, _, _, sample = drawn
    for rows in (sample.train, sample.validation):
        assert len(rows)
        assert set(dataset.manifest["split"].iloc[rows]) == {TRAINING}


@FEW
@given(samples())
def test_no_near_duplicates_straddle_training_and_validation(
    drawn: tuple[Dataset, DataRecipe, BalanceRecipe, Selection, Sample],
) -> None:
    dataset, _, _, _, sample = drawn
    near = dataset.manifest["near_group"].to_numpy()
    assert not set(sample.train) & set(sample.validation)
    assert not set(near[sample.train]) & set(near[sample.validation])


@FEW
@given(samples())
def test_no_twin_of_a_test_image_stays(drawn: tuple[Dataset, DataRecipe, BalanceRecipe, Selection, Sample]) -> None:
    dataset, data, _, _, sample = drawn
    manifest = dataset.manifest
    used = manifest.iloc[np.union1d(sample.train, sample.validation)]
    tests = manifest[manifest["split"] != TRAINING]
    exact = used["exact_group"].isin(tests["exact_group"])
    if data.leaked == "remove":
        assert not exact.any()
    if data.near_leaked == "remove":
        assert not (used["near_group"].isin(tests["near_group"]) & ~exact).any()


@FEW
@given(samples())
def test_selection_divides_the_training_split(
    drawn: tuple[Dataset, DataRecipe, BalanceRecipe, Selection, Sample],
) -> None:
    dataset, data, _, selection, sample = drawn
    parts = [selection.kept, *selection.removed.values()]
    assert sorted(np.concatenate(parts)) == list(dataset.rows(TRAINING))
    assert set(sample.train) | set(sample.validation) <= set(selection.kept)
    kept = dataset.manifest.iloc[selection.kept].groupby("exact_group")["label"]
    if data.conflicts == "remove":
        assert (kept.nunique() == 1).all()
    if data.copies == "first":
        assert (kept.size() == 1).all()


@FEW
@given(samples())
def test_factors_hold_and_copies_of_disgust_are_flagged(
    drawn: tuple[Dataset, DataRecipe, BalanceRecipe, Selection, Sample],
) -> None:
    dataset, _, balance, selection, sample = drawn
    labels = dataset.labels
    before = np.bincount(labels[np.setdiff1d(selection.kept, sample.validation)], minlength=7)
    after = np.bincount(labels[sample.train], minlength=7)
    if balance.method != "paper":
        assert after.tolist() == before.tolist()
        assert not sample.augmented.any()
        return
    targets = paper_targets({i: int(n) for i, n in enumerate(before) if n}, balance)
    present = np.count_nonzero(before)
    assert present == 1 or after.tolist() == [targets.get(i, 0) for i in range(7)]
    assert set(labels[sample.train[sample.augmented]]) <= {TRANSFORMED}
    copies = int(after[TRANSFORMED] - min(before[TRANSFORMED], after[TRANSFORMED]))
    assert sample.augmented.sum() == copies


@FEW
@given(samples())
def test_weights_draw_classes_by_the_power_of_their_counts(
    drawn: tuple[Dataset, DataRecipe, BalanceRecipe, Selection, Sample],
) -> None:
    dataset, _, balance, selection, sample = drawn
    labels = dataset.labels[np.setdiff1d(selection.kept, sample.validation)]
    counts = np.bincount(labels, minlength=7)
    present = np.flatnonzero(counts)
    drawn_weight = np.bincount(dataset.labels[sample.train], sample.weights, minlength=7)[present]
    assert sample.weights.mean() == pytest.approx(1)
    if balance.method == "sampler":
        wanted = counts[present] ** (1 - balance.sampler_power)
        assert drawn_weight == pytest.approx(wanted * len(labels) / wanted.sum())


@FEW
@given(samples())
def test_class_weights_make_up_for_what_balancing_leaves_and_no_more(
    drawn: tuple[Dataset, DataRecipe, BalanceRecipe, Selection, Sample],
) -> None:
    """Draws times weight are equal for all classes, as scikit-learn has it for images that are drawn once each."""
    dataset, _, balance, _, sample = drawn
    labels = dataset.labels[sample.train]
    present = np.unique(labels)
    draws = np.bincount(labels, sample.weights, minlength=7)[present]
    weights = sample.class_weights[present]
    assert draws * weights == pytest.approx(np.full(len(present), draws.sum() / len(present)), rel=1e-5)
    assert set(np.flatnonzero(sample.class_weights)) == set(present)
    if balance.method == "none":
        assert np.array_equal(weights, np.float32(compute_class_weight("balanced", classes=present, y=labels)))
    if balance.method == "sampler" and balance.sampler_power == 1:
        assert weights == pytest.approx(1)


@FEW
@given(st.lists(ROW, min_size=60, max_size=100), BALANCE, st.integers(0, 2**31))
def test_equal_seeds_give_equal_samples(rows: list[tuple[str, int, int]], balance: BalanceRecipe, seed: int) -> None:
    dataset, data = in_memory(rows), DataRecipe(leaked="keep", near_leaked="keep", conflicts="keep")
    try:
        first, second = (build_sample(dataset, data, balance, seed)[1] for _ in range(2))
    except RecipeError:
        return
    assert first.digest == second.digest
