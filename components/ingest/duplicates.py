"""Which images are the same, or nearly so.

Exact: identical pixels. Near: proposed by a 64-bit perceptual hash (imagehash's phash; hamming.py), confirmed on pixels
by the correlation of the two images where one is moved over the other by up to three pixels: face crops of the same
photograph differ by that much more than by anything else. A group is a connected component, so it holds exact groups
whole.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import imagehash
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from components.ingest.hamming import Pairs, Rows, close_pairs
from components.ingest.records import Report

MIN_CORRELATION = 0.92  # chosen with the bits of hamming.py
REACH = 3  # pixels of a 48-pixel face
ROUGH_CORRELATION = 0.75  # at half the size: an eighth of the work, loses no confirmed pair of FER-2013
SIDE = 48  # faces are compared at this size
CHUNK = 256  # pairs compared at once
PIECE = 20_000  # pairs after which those are left out that are joined already: frames of a film propose millions

Floats = npt.NDArray[np.float32]
Groups = npt.NDArray[np.int32]


def pixel_hashes(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.str_]:
    """sha256 of each image's raw pixels, hex [N]."""
    flat = np.ascontiguousarray(images).reshape(len(images), -1)
    return np.fromiter((hashlib.sha256(row.data).hexdigest() for row in flat), "<U64", len(flat))


def perceptual_hashes(images: npt.NDArray[np.uint8], report: Report) -> npt.NDArray[np.uint64]:
    """uint64 [N], imagehash.phash of each image."""
    hashes = np.zeros((len(images), 8), np.uint8)
    for i, image in enumerate(images):
        if i % 1000 == 0:
            report("perceptual hashes", i, len(images))
        hashes[i] = np.packbits(imagehash.phash(Image.fromarray(image)).hash)
    report("perceptual hashes", len(images), len(images))
    return hashes.view(">u8").ravel().astype(np.uint64)


def duplicate_groups(
    images: npt.NDArray[np.uint8], sha256: npt.NDArray[np.str_], phash: npt.NDArray[np.uint64], report: Report
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """(exact, near) group numbers, int32 [N] each, numbered in order of first appearance. images: uint8 [N, 48, 48]."""
    exact, _ = pd.factorize(pd.Series(sha256))
    first = np.unique(exact, return_index=True)[1]  # row of the first image of each exact group
    pairs = near_pairs(images, first, phash[first], report)
    near, _ = pd.factorize(pd.Series(_joined(pairs, len(first))[exact]))
    return exact.astype(np.int32), near.astype(np.int32)


def near_pairs(images: npt.NDArray[np.uint8], rows: Rows, phash: npt.NDArray[np.uint64], report: Report) -> Pairs:
    """Confirmed pairs of near-duplicates among distinct images, as places in `rows`: enough to join every group.

    images: uint8 [N, 48, 48], may be memory-mapped; rows: the distinct ones among them, [D]; phash: theirs, [D].
    """
    found, fresh = [np.zeros((0, 2), np.int64)], 0
    group: Groups = np.arange(len(rows), dtype=np.int32)
    for proposed in close_pairs(phash, report):
        for start in range(0, len(proposed), PIECE):
            pairs = proposed[start : start + PIECE]
            pairs = pairs[group[pairs[:, 0]] != group[pairs[:, 1]]]
            pairs = pairs[moved_correlations(images, rows[pairs], (REACH + 1) // 2, halved=True) >= ROUGH_CORRELATION]
            found.append(pairs[moved_correlations(images, rows[pairs], REACH) >= MIN_CORRELATION])
            fresh += len(found[-1])
            if fresh > PIECE // 2:
                group, fresh = _joined(np.concatenate(found), len(rows)), 0
    return np.concatenate(found)


def _joined(pairs: Pairs, count: int) -> Groups:
    """Number of the connected component of each of `count` images, int32 [count]."""
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count,) * 2)
    components: Groups = connected_components(graph, directed=False)[1]
    return components


def moved_correlations(faces: npt.NDArray[np.uint8], pairs: Pairs, reach: int, halved: bool = False) -> Floats:
    """float32 [P]: the inner part of each pair's first face against the second's, at the best of all moves.

    Moves go `reach` pixels up, down, left and right; of half the size where `halved`. 0 where either is constant.
    """
    starts = range(0, len(pairs), CHUNK)
    with ThreadPoolExecutor() as pool:  # numpy works outside the interpreter's lock
        parts = pool.map(lambda start: _correlate(faces, pairs[start : start + CHUNK], reach, halved), starts)
        return np.concatenate([np.zeros(0, np.float32), *parts])


def _correlate(faces: npt.NDArray[np.uint8], pairs: Pairs, reach: int, halved: bool) -> Floats:
    taken = (faces[pairs[:, side]] for side in (0, 1))
    a, b = (_centred(_halved(face) if halved else face) for face in taken)  # [p, S, S]
    inner = a.shape[1] - 2 * reach
    a = _centred(a[:, reach : reach + inner, reach : reach + inner])
    spread_a, spread_b = np.einsum("pij,pij->p", a, a), _spreads(b, inner)  # [p], [p, moves, moves]
    best = np.zeros(len(pairs), np.float32)
    for y in range(2 * reach + 1):
        for x in range(2 * reach + 1):
            together = np.einsum("pij,pij->p", a, b[:, y : y + inner, x : x + inner])
            spread = np.sqrt(spread_a * spread_b[:, y, x])
            np.maximum(best, np.divide(together, spread, where=spread > 1, out=np.zeros_like(best)), out=best)
    return best


def _halved(faces: npt.NDArray[np.uint8]) -> Floats:
    """Means of 2 x 2 pixels: uint8 [p, S, S] -> float32 [p, S / 2, S / 2]."""
    rows = faces[:, ::2].astype(np.uint16) + faces[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]) * np.float32(0.25)


def _centred(faces: npt.NDArray[np.uint8] | Floats) -> Floats:
    centred: Floats = faces - faces.mean((1, 2), keepdims=True, dtype=np.float32)
    return centred


def _spreads(faces: Floats, inner: int) -> Floats:
    """Sum of squared deviations of every window of side `inner`, from running sums."""

    def windows(values: Floats) -> npt.NDArray[np.float64]:
        total = np.pad(values.cumsum(1, dtype=np.float64).cumsum(2), ((0, 0), (1, 0), (1, 0)))
        above = total[:, inner:, inner:] - total[:, :-inner, inner:]
        sums: npt.NDArray[np.float64] = above - total[:, inner:, :-inner] + total[:, :-inner, :-inner]
        return sums

    return np.maximum(windows(faces * faces) - windows(faces) ** 2 / inner**2, 0).astype(np.float32)
