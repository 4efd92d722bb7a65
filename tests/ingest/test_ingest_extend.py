"""Labelled images of production join Training alone; some are held back; validation never sees one."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.balancing import BalanceRecipe, DataRecipe, build_sample
from components.dataset import PRODUCTION, open_dataset
from components.errors import DataError
from components.ingest import NewFaces, extend, new_faces
from components.ingest.duplicates import pixel_hashes
from components.ingest.synthetic import SyntheticOptions, generate
from components.labels import PUBLIC_TEST, TEST_SPLITS, TRAINING


def quiet(stage: str, done: int, total: int) -> None:
    pass


def production(count: int, seed: int = 77) -> NewFaces:
    images, labels, _ = generate(SyntheticOptions(images=max(100, count), seed=seed, darker=0.8))
    chosen = np.random.default_rng(seed).permutation(len(labels))[:count]
    return NewFaces(images[chosen], labels[chosen], [f"{k:032x}" for k in range(count)])


@pytest.fixture(scope="module")
def extended(tiny_dataset, tmp_path_factory):
    new = new_faces(tiny_dataset, production(200))
    made = extend(tiny_dataset, new, 0.3, tmp_path_factory.mktemp("extended"), quiet)
    return made, open_dataset(made.dataset.folder, verify=True), open_dataset(made.held_back.folder, verify=True)


def test_every_image_of_the_base_stays_where_it_was(tiny_dataset, extended) -> None:
    _, dataset, _ = extended
    before = tiny_dataset.manifest.set_index("sha256")[["split", "label", "source"]].sort_index()
    old = dataset.manifest[~dataset.manifest["source"].str.startswith(PRODUCTION)]
    assert old.set_index("sha256")[["split", "label", "source"]].sort_index().equals(before)


def test_new_images_are_training_or_held_back_and_never_both(extended) -> None:
    made, dataset, held_back = extended
    new = dataset.manifest[dataset.manifest["source"].str.startswith(PRODUCTION)]
    assert set(new["split"]) == {TRAINING}
    assert set(held_back.manifest["split"]) == {PUBLIC_TEST}
    assert not set(new["sha256"]) & set(held_back.manifest["sha256"])
    assert (made.added, made.kept_back) == (len(new), len(held_back.manifest))
    assert 0.2 < made.kept_back / 200 < 0.4
    assert dataset.info.origin.kind == "feedback"


def test_every_new_image_keeps_its_own_label_and_prediction(tiny_dataset, extended) -> None:
    given = new_faces(tiny_dataset, production(200))
    sources = [f"{PRODUCTION}{id}" for id in given.ids]
    told = dict(zip(pixel_hashes(given.images), zip(given.labels, sources, strict=True), strict=True))
    for version in extended[1:]:
        new = version.manifest["source"].str.startswith(PRODUCTION).to_numpy()
        digests = pixel_hashes(np.asarray(version.images)[new])
        found = list(zip(version.labels[new], version.manifest["source"][new], strict=True))
        assert found == [told[digest] for digest in digests]


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_image_of_production_validates(extended, seed: int) -> None:
    _, dataset, _ = extended
    _, sample = build_sample(dataset, DataRecipe(), BalanceRecipe(), seed)
    sources = dataset.manifest["source"]
    assert not sources.iloc[sample.validation].str.startswith(PRODUCTION).any()
    assert sources.iloc[sample.train].str.startswith(PRODUCTION).any()
    assert not set(sample.validation) & set(sample.train)


def test_what_is_known_already_is_left_out_also_where_it_is_a_test_image(tiny_dataset, extended) -> None:
    _, dataset, _ = extended
    test = dataset.rows(TEST_SPLITS[0])[:5]
    again = production(30)
    images = np.concatenate([dataset.images[test], again.images, again.images[:3]])
    labels = np.concatenate([dataset.labels[test], again.labels, again.labels[:3]])
    fresh = new_faces(dataset, NewFaces(images, labels, [f"{k}" for k in range(38)]))
    assert len(fresh.ids) <= 30
    assert not set(fresh.ids) & {"0", "1", "2", "3", "4"}


def test_an_image_stays_on_its_side_in_a_later_version(tiny_dataset, extended, tmp_path) -> None:
    _, dataset, held_back = extended
    all_of_them = production(200)
    some = NewFaces(all_of_them.images[:100], all_of_them.labels[:100], all_of_them.ids[:100])
    new = new_faces(tiny_dataset, some)
    made = extend(tiny_dataset, new, 0.3, tmp_path, quiet)
    assert set(open_dataset(made.held_back.folder).manifest["sha256"]) <= set(held_back.manifest["sha256"])
    added = open_dataset(made.dataset.folder).manifest
    assert set(added["sha256"]) <= set(dataset.manifest["sha256"])


def test_a_near_twin_of_a_held_back_image_is_learned_from_by_nothing(tiny_dataset, tmp_path) -> None:
    once = production(40)
    again = once.images.copy()
    again[:, 0, 0] ^= 1  # other bytes, and so perhaps the other side
    images, labels = np.concatenate([once.images, again]), np.concatenate([once.labels, once.labels])
    new = new_faces(tiny_dataset, NewFaces(images, labels, [f"{k:032x}" for k in range(80)]))
    made = extend(tiny_dataset, new, 0.3, tmp_path, quiet)
    dataset, held_back = open_dataset(made.dataset.folder), open_dataset(made.held_back.folder)
    added = np.asarray(dataset.images)[dataset.manifest["source"].str.startswith(PRODUCTION).to_numpy()]
    differences = np.abs(added[:, None].astype(int) - np.asarray(held_back.images)[None]).max((2, 3))
    assert differences.min() > 1
    assert made.added == len(added)
    assert made.added + made.kept_back < 80, "some twins had fallen apart"
    assert len(made.ids) == 80, "all are on record, for a deletion to find"


def test_too_few_to_divide_is_an_error(tiny_dataset, tmp_path) -> None:
    new = new_faces(tiny_dataset, production(1))
    with pytest.raises(DataError, match="wait for more"):
        extend(tiny_dataset, new, 0.3, tmp_path, quiet)
