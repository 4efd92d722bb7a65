"""Maps are judged by a model whose answer is known to hang on one patch of each image."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import record
from benchmarks.faithfulness import HEAD, lines
from components.errors import DataError
from components.evaluation.faithfulness import (
    BASELINES,
    CELLS,
    HIGHER,
    STEPS,
    Against,
    Faithfulness,
    Floats,
    area,
    baselines,
    conclusion,
    curves,
    faithfulness,
    faithfulness_tables,
    mix,
    ranks,
)
from components.evaluation.records import Interval
from components.training.records import RunSummary

Images = npt.NDArray[np.uint8]
SIDE, PATCH, N = 48, 8, 40
RELEASE = Path(__file__).parents[2] / "serving" / "release"


def patches(seed: int = 0) -> tuple[Images, Floats]:
    """Grain with one bright patch somewhere, and the map that knows where: [N, 48, 48] each."""
    rng = np.random.default_rng(seed)
    images = rng.integers(60, 120, (N, SIDE, SIDE), dtype=np.uint8)
    places = np.zeros((N, 6, 6), dtype=bool)
    places.reshape(N, -1)[np.arange(N), rng.integers(0, 36, N)] = True
    oracle = places.repeat(PATCH, 1).repeat(PATCH, 2)
    return np.where(oracle, np.uint8(230), images), oracle.astype(np.float32)


def brightest_patch(images: Images) -> Floats:
    """Happy by how bright the brightest of the 6 x 6 patches is, angry otherwise."""
    means = images.reshape(-1, 6, PATCH, 6, PATCH).mean((2, 4)).reshape(len(images), -1)
    happy = 1 / (1 + np.exp(-(means.max(1) - 150) / 15))
    answers = np.zeros((len(images), 7))
    answers[:, 0], answers[:, 3] = 1 - happy, happy
    return answers


@pytest.fixture(scope="module")
def judged() -> Faithfulness:
    images, oracle = patches()
    grain = np.random.default_rng(1).random(images.shape)
    maps = {"oracle": oracle, "inverse": 1 - oracle, "grain": grain}
    return faithfulness(brightest_patch, images, np.full(N, 3), maps)


@pytest.mark.parametrize("measure", HIGHER)
def test_a_map_that_knows_beats_chance_centre_and_mean_and_its_inverse_is_worse(judged, measure) -> None:
    found = {name: judged.of(name, measure) for name in ("oracle", "inverse")}
    assert [a.verdict for a in found["oracle"].against] == ["beats"] * 3, found["oracle"]
    assert [a.verdict for a in found["inverse"].against] == ["worse"] * 3, found["inverse"]
    assert conclusion(judged, "oracle").count("beats random and centre and mean map") == len(HIGHER)


@pytest.mark.parametrize("measure", HIGHER)
def test_a_map_of_grain_is_no_better_than_chance(judged, measure) -> None:
    found = judged.of("grain", measure)
    assert {a.baseline: a.verdict for a in found.against}["random"] == "no better", found
    assert f"{measure} beats random" not in conclusion(judged, "grain")


def test_the_gain_over_a_baseline_is_the_difference_of_the_means_and_positive_where_better(judged) -> None:
    for measure, higher in HIGHER.items():
        found = judged.of("oracle", measure)
        for against in found.against:
            rival = "mean map of oracle" if against.baseline == "mean map" else against.baseline
            difference = found.mean - judged.of(rival, measure).mean
            assert against.gain == pytest.approx(difference if higher else -difference)
            assert against.interval.low <= against.gain <= against.interval.high


def test_an_interval_that_ends_at_zero_but_for_rounding_is_no_difference() -> None:
    assert Against("random", 0.1, Interval(1e-17, 0.3)).verdict == "no better"
    assert Against("random", 0.1, Interval(0.001, 0.3)).verdict == "beats"
    assert Against("random", -0.1, Interval(-0.3, -0.001)).verdict == "worse"


def test_a_map_against_itself_as_the_centre_gains_exactly_nothing() -> None:
    images, oracle = patches()
    centre = baselines({"oracle": oracle})["centre"]
    found = faithfulness(brightest_patch, images, np.full(N, 3), {"same": centre})
    for measure in HIGHER:
        against = next(a for a in found.of("same", measure).against if a.baseline == "centre")
        assert (against.gain, against.interval.low, against.interval.high, against.verdict) == (0, 0, 0, "no better")


def test_nothing_deleted_is_the_answer_itself_and_everything_deleted_the_other_image() -> None:
    images, oracle = patches()
    after, classes = np.full_like(images, 90), np.full(N, 3)
    points = curves(brightest_patch, images, after, ranks(oracle), classes, 256)
    assert points.shape == (N, 1 + STEPS)
    assert (points[:, 0] == brightest_patch(images)[:, 3]).all()
    assert (points[:, -1] == brightest_patch(after)[:, 3]).all()


@given(batch_size=st.integers(1, 60), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=10)
def test_curves_do_not_depend_on_the_batch(batch_size: int, seed: int) -> None:
    images, oracle = patches(seed)
    grain = oracle * np.random.default_rng(seed).random(oracle.shape)
    whole, parts = (
        curves(brightest_patch, images, images[::-1], ranks(grain), np.full(N, 3), b) for b in (N, batch_size)
    )
    assert np.abs(whole - parts).max() < 1e-12, f"max {np.abs(whole - parts).max():.2e}"


@given(height=st.integers(12, 50), width=st.integers(12, 50), count=st.integers(0, CELLS * CELLS), seed=st.integers(0))
@settings(deadline=None, max_examples=40)
def test_as_many_cells_change_as_asked_at_any_size_and_nothing_else(height, width, count, seed) -> None:
    order = ranks(np.random.default_rng(seed).random((2, height, width)))
    assert (np.sort(order.reshape(2, -1)) == np.arange(CELLS * CELLS)).all()
    black, white = np.zeros((2, height, width), np.uint8), np.full((2, height, width), 255, np.uint8)
    mixed = mix(black, white, order < count)
    corners = mixed[:, np.arange(CELLS) * height // CELLS][:, :, np.arange(CELLS) * width // CELLS]
    assert ((corners == 255) == (order < count)).all()
    assert set(np.unique(mixed)) <= {0, 255}
    assert (mixed == 255).all() == (count == CELLS * CELLS)


def test_the_most_important_cell_comes_first_and_equal_ones_in_no_order_of_rows() -> None:
    one = np.zeros((1, SIDE, SIDE))
    one[0, 8:12, 20:24] = 1
    assert ranks(one)[0, 2, 5] == 0
    flat = ranks(np.ones((200, SIDE, SIDE)))
    upper = flat[:, : CELLS // 2].mean()
    assert upper == pytest.approx((CELLS * CELLS - 1) / 2, rel=0.05), "the forehead is not favoured"


def test_the_area_is_that_of_numpy() -> None:
    points = np.random.default_rng(0).random((5, 1 + STEPS))
    assert area(points) == pytest.approx(np.trapezoid(points, dx=1 / STEPS))


def test_each_mean_map_leaves_its_own_image_out_and_the_centre_is_highest_in_the_middle() -> None:
    maps = {name: np.random.default_rng(seed).random((6, 20, 30)) for seed, name in enumerate("ab")}
    found = baselines(maps)
    assert list(found) == ["random", "centre", "mean map of a", "mean map of b"]
    for name, own in maps.items():
        assert found[f"mean map of {name}"][2] == pytest.approx(np.delete(own, 2, axis=0).mean(0))
    centre = found["centre"][0]
    assert centre == pytest.approx(centre[::-1, ::-1])
    assert centre.max() == pytest.approx(centre[10, 15])


def test_a_map_is_held_against_its_own_mean_and_one_picture_for_all_images_is_its_own() -> None:
    images, _ = patches()
    pictures = np.random.default_rng(2).random((2, SIDE, SIDE))
    maps = {name: np.broadcast_to(picture, images.shape) for name, picture in zip("ab", pictures, strict=True)}
    found = faithfulness(brightest_patch, images, np.full(N, 3), maps)
    for measure in HIGHER:
        for name in maps:
            own = next(a for a in found.of(name, measure).against if a.baseline == "mean map")
            assert (own.gain, own.interval.low, own.interval.high, own.verdict) == (0, 0, 0, "no better")
    means = [found.of(f"mean map of {name}", "deletion").mean for name in maps]
    assert means[0] != means[1], "each method has a mean of its own"


def test_hiding_cells_by_chance_costs_exactly_nothing_and_a_map_must_exclude_that(judged) -> None:
    chance = judged.of("random", "perturbation")
    assert (chance.mean, chance.interval) == (0, Interval(0, 0))
    for name in ("oracle", "inverse", "grain"):
        found = judged.of(name, "perturbation")
        against = next(a for a in found.against if a.baseline == "random")
        assert (against.gain, against.interval) == (found.mean, found.interval)
        assert (against.verdict == "beats") == (found.interval.low > 0)


def test_the_tables_tell_every_map_with_its_verdicts(judged) -> None:
    text = faithfulness_tables(judged)
    rows = [line for line in text.splitlines() if line.startswith("| oracle")]
    assert len(rows) == len(HIGHER)
    assert all(row.count("beats") == len(BASELINES) for row in rows)
    assert "- inverse: deletion worse than random and centre and mean map; insertion worse than" in text
    assert "of 27 comparisons" in text


@pytest.mark.parametrize(
    ("images", "maps", "words"),
    [(1, (1, 48, 48), "two at least"), (3, (3, 6, 6), r"map 'm' is \[3, 6, 6\]")],
)
def test_what_cannot_be_judged_says_why(images: int, maps: tuple[int, ...], words: str) -> None:
    with pytest.raises(DataError, match=words):
        faithfulness(brightest_patch, np.zeros((images, 48, 48), np.uint8), np.zeros(images, int),
                     {"m": np.zeros(maps)})  # fmt: skip


def test_the_saved_lines_say_which_model_by_its_graph_and_stand_under_the_head_of_the_file(judged) -> None:
    summary = RunSummary.from_json((RELEASE / "summary.json").read_text())
    rows = [dict(zip(HEAD, line, strict=True)) for line in lines(judged, summary)]
    assert {row["model_sha256"] for row in rows} == {summary.model_sha256[:12]}
    assert {row["n"] for row in rows} == {N}
    with (record.RESULTS / "faithfulness.csv").open(newline="") as stream:
        kept = list(csv.reader(stream))
    assert kept[0] == ["date", *HEAD, "machine"]
    assert {len(row) for row in kept} == {len(kept[0])}
