"""Pairs of 64-bit hashes that differ in few bits: all of them, each once, in parts no longer than the hashes are.

Up to COMPARED hashes are compared each with each. More are found by the pigeonhole principle, as in Manku, Jain and
Das Sarma 2007 (Norouzi, Punjani and Fleet 2012 flip bits instead): of ten blocks of bits, two hashes that differ in six
bits or fewer have four in common. The hashes are sorted by each choice of four blocks, and only those that then stand
together are compared: 25 bits in common are rare, so the sorting is most of the work.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import combinations

import numpy as np
import numpy.typing as npt

from components.ingest.records import Report

# Chosen on FER-2013 by looking at pairs. At correlations of 0.92 to 0.94 and 8 to 12 bits 59 of 60 were the same
# photograph, at 0.88 to 0.91 and 10 bits about 40 of 54. Comparing all pairs of images without a hash confirms 3,725;
# these bits propose 3,079 of them, 10 bits 2,787, 14 bits 3,269 with 4.5 times as much to compare.
MAX_BITS = 12
COMPARED = 50_000
"""Hashes up to which all pairs are compared: some 5 s, and as much to look at what 12 bits propose."""
# A perceptual hash has half its bits set, so distances are even: of the 3,085 pairs confirmed on FER-2013, 4 bits
# propose 1,173, 6 bits 1,870, 8 bits 2,398. 8 bits by three blocks with two bits flipped leave 1.3e10 pairs of 3.6
# million hashes to compare, a hundred times those of a tenth; 6 bits by four of ten blocks leave 8e8.
INDEXED_BITS = 6
BLOCKS = 10
CHUNK = 1 << 23  # pairs compared at once where all are: 80 MB
SORTERS = 2  # choices of blocks sorted at once, besides one that is searched: 100 MB each for 3.6 million hashes
ROW = 1 << 32  # a key stands above 32 bits of row
STAGE = "near-duplicates"

EDGES = [64 * block // BLOCKS for block in range(BLOCKS + 1)]
CHOICES = list(combinations(range(BLOCKS), BLOCKS - INDEXED_BITS))

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.int64]
"""int64 [P, 2], indices i < j."""
Table = tuple[Hashes, Hashes]
"""Keys with their rows below them, uint64 [N] ascending, and the hashes in that order."""


def close_pairs(hashes: Hashes, report: Report) -> Iterator[Pairs]:
    """Pairs within MAX_BITS bits of up to COMPARED hashes, within INDEXED_BITS bits of more."""
    return compared_pairs(hashes, MAX_BITS, report) if len(hashes) <= COMPARED else indexed_pairs(hashes, report)


def compared_pairs(hashes: Hashes, max_bits: int, report: Report) -> Iterator[Pairs]:
    """Pairs within `max_bits` bits, by comparing all; in order."""
    step = max(1, CHUNK // max(1, len(hashes)))
    for start in range(0, len(hashes), step):
        report(STAGE, start, len(hashes))
        distance = np.bitwise_count(hashes[start : start + step, None] ^ hashes[None, start:])
        i, j = np.nonzero(distance <= max_bits)
        yield np.stack([i[i < j], j[i < j]], axis=1) + start
    report(STAGE, len(hashes), len(hashes))


def indexed_pairs(hashes: Hashes, report: Report) -> Iterator[Pairs]:
    """Pairs within INDEXED_BITS bits, through an index; in no order. Less than 2**32 hashes."""
    for done, (choice, (numbers, ordered)) in enumerate(zip(CHOICES, _tables(hashes), strict=True)):
        report(STAGE, done, len(CHOICES))
        for left, right in _together(numbers):
            differing = ordered[left] ^ ordered[right]
            near = np.flatnonzero(np.bitwise_count(differing) <= INDEXED_BITS)
            new = near[_first_seen(differing[near], choice)]
            pairs = np.stack([numbers[left[new]], numbers[right[new]]], axis=1) % np.uint64(ROW)
            yield np.sort(pairs.astype(np.int64), axis=1)
    report(STAGE, len(CHOICES), len(CHOICES))


def _tables(hashes: Hashes) -> Iterator[Table]:
    """The hashes sorted by every choice of blocks, a few ahead of the reader."""
    begun: deque[Future[Table]] = deque()
    with ThreadPoolExecutor(SORTERS) as pool:  # numpy sorts outside the interpreter's lock
        for choice in CHOICES:
            begun.append(pool.submit(_sort, hashes, choice))
            if len(begun) > SORTERS:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


def _sort(hashes: Hashes, choice: tuple[int, ...]) -> Table:
    """By key and row in one number, which takes half the time of sorting rows by their keys."""
    numbers = np.zeros_like(hashes)
    for block in choice:  # at most 28 bits
        numbers <<= np.uint64(EDGES[block + 1] - EDGES[block])
        numbers |= (hashes & _mask(block)) >> np.uint64(EDGES[block])
    numbers *= np.uint64(ROW)
    numbers |= np.arange(len(hashes), dtype=np.uint64)
    numbers.sort()
    return numbers, hashes[numbers.astype(np.uint32)]


def _together(numbers: Hashes) -> Iterator[tuple[Rows, Rows]]:
    """Places of all pairs with the same key: of neighbours, then of those two apart, and so on."""
    left, apart = np.arange(len(numbers)), 0
    while len(left):
        apart += 1
        left = left[: np.searchsorted(left, len(numbers) - apart)]
        left = left[numbers[left] ^ numbers[left + apart] < ROW]
        yield left, left + apart


def _first_seen(differing: Hashes, choice: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Whether these are the first blocks the pair has in common: an earlier choice has found it otherwise."""
    seen = np.ones(len(differing), bool)
    for block in range(choice[-1]):
        if block not in choice:
            seen &= (differing & _mask(block)) != 0
    return seen


def _mask(block: int) -> np.uint64:
    return np.uint64((1 << EDGES[block + 1]) - (1 << EDGES[block]))
