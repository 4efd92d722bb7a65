"""Which images are the same, or nearly so.

Exact: identical pixels. Near: proposed by a 64-bit perceptual hash (imagehash's phash) within MAX_BITS, confirmed on pixels
by the correlation of the two standardised images. A group is a connected component, so it holds exact groups whole.
"""

import hashlib

import imagehash
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from components.ingest.records import Report

MAX_BITS = 10
MIN_CORRELATION = 0.92  # of 40 FER-2013 pairs looked at between 0.90 and 0.94 one was false, at 0.902; above 0.94 none
BLOCK = 1024  # hashes compared with all others at once

Pairs = npt.NDArray[np.int64]
"""int64 [P, 2], indices i < j."""


def pixel_hashes(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.str_]:
    """sha256 of each image's raw pixels, hex [N]."""
    flat = np.ascontiguousarray(images).reshape(len(images), -1)
    return np.array([hashlib.sha256(row).hexdigest() for row in flat], dtype="<U64")


def perceptual_hashes(images: npt.NDArray[np.uint8], report: Report) -> npt.NDArray[np.uint64]:
    """uint64 [N], imagehash.phash of each image."""
    bits = np.zeros((len(images), 64), bool)
    for i, image in enumerate(images):
        bits[i] = imagehash.phash(Image.fromarray(image)).hash.ravel()
        if i % 1000 == 999:
            report("perceptual hashes", i + 1, len(images))
    return np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)


def proposed_pairs(hashes: npt.NDArray[np.uint64], max_bits: int, report: Report) -> Pairs:
    """Pairs of indices whose hashes differ in at most `max_bits` bits."""
    found = []
    for start in range(0, len(hashes), BLOCK):
        distance = np.bitwise_count(hashes[start : start + BLOCK, None] ^ hashes[None, start:])
        i, j = np.nonzero(distance <= max_bits)
        keep = i < j
        found.append(np.stack([i[keep] + start, j[keep] + start], axis=1))
        report("near-duplicates", min(start + BLOCK, len(hashes)), len(hashes))
    return np.concatenate(found) if found else np.zeros((0, 2), np.int64)


def correlations(images: npt.NDArray[np.uint8], pairs: Pairs) -> npt.NDArray[np.float32]:
    """float32 [P], Pearson correlation of the pixels of each pair; 0 where an image is constant."""
    result = np.zeros(len(pairs), np.float32)
    for start in range(0, len(pairs), 4096):
        part = pairs[start : start + 4096]
        a, b = (_standardised(images[part[:, side]]) for side in (0, 1))
        result[start : start + 4096] = (a * b).mean(1)
    return result


def _standardised(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    return flat / np.maximum(flat.std(1, keepdims=True), 1e-6)


def duplicate_groups(
    images: npt.NDArray[np.uint8], sha256: npt.NDArray[np.str_], phash: npt.NDArray[np.uint64], report: Report
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """(exact, near) group numbers, int32 [N] each, numbered in order of first appearance."""
    exact, distinct = pd.factorize(pd.Series(sha256))
    first = np.zeros(len(distinct), np.int64)
    first[exact[::-1]] = np.arange(len(images))[::-1]  # row of the first image of each exact group
    pairs = proposed_pairs(phash[first], MAX_BITS, report)
    confirmed = pairs[correlations(images, first[pairs]) >= MIN_CORRELATION]
    graph = coo_array((np.ones(len(confirmed), bool), (confirmed[:, 0], confirmed[:, 1])), shape=(len(distinct),) * 2)
    _, component = connected_components(graph, directed=False)
    near, _ = pd.factorize(pd.Series(component[exact]))
    return exact.astype(np.int32), near.astype(np.int32)
