"""The index finds what comparing all hashes finds: for any hashes, for crowded ones, and in parts of bounded size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingest import hamming
from components.ingest.hamming import INDEXED_BITS, MAX_BITS, close_pairs, compared_pairs, indexed_pairs
from components.ingest.records import tell_nobody

HASHES = st.integers(0, 2**64 - 1)


def sorted_pairs(parts) -> list[list[int]]:
    """All parts as one sorted list: a pair that was found twice stands in it twice."""
    return sorted(pair for part in parts for pair in part.tolist())


def within(hashes, bits: int) -> list[list[int]]:
    """One pair after another, in Python's own numbers."""
    numbers = [int(number) for number in hashes]
    rows = range(len(numbers))
    return [[i, j] for i in rows for j in rows[i + 1 :] if (numbers[i] ^ numbers[j]).bit_count() <= bits]


@st.composite
def crowds(draw) -> np.ndarray:
    """Hashes a few flipped bits around a few centres, some of them alike, of which most bits may never differ."""
    centres = draw(st.lists(HASHES, min_size=1, max_size=3))
    free = draw(st.sampled_from([2**64 - 1, 2**20 - 1, 0x0101010101010101]))
    flips = st.lists(st.integers(0, 63), max_size=5)
    members = draw(st.lists(st.tuples(st.sampled_from(centres), flips), max_size=40))
    return np.array([centre ^ sum({1 << k for k in bits}) & free for centre, bits in members], np.uint64)


@settings(deadline=None)
@given(st.lists(HASHES, max_size=12), st.integers(0, 64))
def test_compared_pairs_are_those_within_so_many_bits_in_order(hashes, bits) -> None:
    array = np.array(hashes, np.uint64)
    found = [pair for part in compared_pairs(array, bits, tell_nobody) for pair in part.tolist()]
    assert found == within(hashes, bits)


@settings(max_examples=12, deadline=None)
@given(hashes=crowds())
def test_the_index_finds_every_pair_of_a_crowd_once(hashes) -> None:
    assert sorted_pairs(indexed_pairs(hashes, tell_nobody)) == within(hashes, INDEXED_BITS)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), set_bits=st.floats(0.02, 0.98), count=st.integers(0, 600))
def test_the_index_finds_what_comparing_all_finds_however_skewed_the_bits_are(seed, set_bits, count) -> None:
    rng = np.random.default_rng(seed)
    hashes = np.packbits(rng.random((count, 64)) < set_bits, axis=1).view(np.uint64).ravel()
    near = hashes ^ (np.uint64(1) << rng.integers(0, 64, count, dtype=np.uint64))
    both = np.concatenate([hashes, near])
    assert sorted_pairs(indexed_pairs(both, tell_nobody)) == sorted_pairs(
        compared_pairs(both, INDEXED_BITS, tell_nobody)
    )


@pytest.mark.parametrize("differing", [0, 1, INDEXED_BITS, INDEXED_BITS + 1])
def test_a_pair_is_found_up_to_the_radius_wherever_its_bits_differ(differing) -> None:
    rng = np.random.default_rng(differing)
    hashes = rng.integers(0, 2**64, 200, dtype=np.uint64)
    flips = [sum(1 << int(k) for k in rng.permutation(64)[:differing]) for _ in hashes]
    pairs = sorted_pairs(indexed_pairs(np.concatenate([hashes, hashes ^ np.array(flips, np.uint64)]), tell_nobody))
    assert pairs == ([[i, 200 + i] for i in range(200)] if differing <= INDEXED_BITS else [])


def test_parts_stay_bounded_where_all_hashes_are_alike() -> None:
    sizes = [len(part) for part in indexed_pairs(np.full(300, 7, np.uint64), tell_nobody)]
    assert max(sizes) < 300
    assert sum(sizes) == 300 * 299 // 2


@pytest.mark.parametrize(("most", "bits"), [(80, MAX_BITS), (79, INDEXED_BITS)])
def test_more_hashes_than_can_be_compared_are_looked_up(most, bits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hamming, "COMPARED", most)
    one = np.arange(40, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    hashes = np.concatenate([one, one ^ np.uint64(0xFF)])  # pairs of 8 bits
    assert len(sorted_pairs(close_pairs(hashes, tell_nobody))) == len(within(hashes, bits))
    assert (len(within(hashes, bits)) >= 40) == (bits == MAX_BITS)


@pytest.mark.parametrize("search", [close_pairs, indexed_pairs])
def test_progress_begins_at_nothing_and_ends_at_all(search) -> None:
    told = []
    list(search(np.arange(9, dtype=np.uint64), lambda *step: told.append(step)))
    assert told[0][1] == 0
    assert told[-1][1] == told[-1][2] > 0
