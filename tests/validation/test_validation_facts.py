"""Flags and counts against a plain count over the pixels, for random little datasets."""

import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from components.labels import SPLITS, TRAINING
from components.validation import ValidationPolicy
from components.validation.facts import derive

IMAGE = st.tuples(st.integers(0, 11), st.integers(0, 6), st.sampled_from(SPLITS))
"""Which of twelve pictures, label, split."""


@settings(max_examples=40, deadline=None)
@given(drawn=st.lists(IMAGE, min_size=2, max_size=30))
def test_flags_equal_a_plain_count(drawn: list[tuple[int, int, str]], write, faces) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (12, 4, 4), dtype=np.uint8)
    pictures[11] = 7
    pictures[10] = pictures[9] ^ 1
    images = np.stack([pictures[picture] for picture, _, _ in drawn])
    source = type(faces)(images, np.array([row[1] for row in drawn]), np.array([row[2] for row in drawn]))
    with tempfile.TemporaryDirectory() as folder:
        table = derive(write(Path(folder) / "dataset", source), ValidationPolicy()).images
    seen: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for picture, label, split in drawn:
        seen[picture].append((label, split))
    learned = {picture for picture, rows in seen.items() if any(split == TRAINING for _, split in rows)}
    tests = [(picture, split) for picture, _, split in drawn if split != TRAINING]
    near = {9: 10, 10: 9}
    assert table["extra_copy"].sum() == len(drawn) - len(seen)
    assert table["constant"].sum() == sum(picture == 11 for picture, _, _ in drawn)
    conflicting = [p for p, _, _ in drawn if len({label for label, _ in seen[p]}) > 1]
    assert table["conflicting"].sum() == len(conflicting)
    assert table["leaked"].sum() == sum(picture in learned for picture, _ in tests)
    assert table["near_leaked"].sum() == sum(p not in learned and near.get(p) in learned for p, _ in tests)
    assert table["across_tests"].sum() == sum(len({s for _, s in seen[p]} - {TRAINING}) > 1 for p, _ in tests)
    assert not table["pixels_differ"].any()
