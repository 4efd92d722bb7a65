"""What a first-time user met: a record of what was left out that got lost, a source that is nowhere."""

import json
from pathlib import Path

import numpy as np
import pytest

from components.errors import DataError
from components.ingest import IngestOptions, check_source, ingest_to_store
from components.store import LocalStore


def rows(folder: Path, bad: int = 0) -> Path:
    """A CSV of 7 x 6 faces, and some rows without pixels."""
    rng = np.random.default_rng(0)
    lines = ["emotion,pixels,Usage"]
    for k in range(42):
        pixels = " ".join(map(str, rng.integers(0, 256, 48 * 48)))
        lines.append(f"{k % 7},{pixels},{('Training', 'PublicTest', 'PrivateTest')[k % 3]}")
    lines += ["3,1 2 3,Training"] * bad
    path = folder / f"faces-{bad}.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_what_was_left_out_is_on_record_although_the_version_is_there_already(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    first, _ = ingest_to_store(rows(tmp_path), store, tmp_path, IngestOptions())
    second, info = ingest_to_store(rows(tmp_path, bad=3), store, tmp_path, IngestOptions(skip_bad=True))
    assert first == second
    (name,) = store.list(f"skipped/{info.name}-")
    record = json.loads(store.read_bytes(name))
    assert (record["name"], len(record["skipped"])) == ("faces-3.csv", 3)


@pytest.mark.parametrize(("source", "said"), [("/nowhere/at/all", "no source"), ("synthetic:faces=3", "is no option")])
def test_a_source_is_checked_at_a_glance(source: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        check_source(source)
