"""A check in a process of its own that comes to no answer."""

import sys
from pathlib import Path

import pytest

from components.errors import RegistryError
from components.registry import check_model, fresh


@pytest.mark.parametrize(
    ("does", "seconds", "words"),
    [
        ("exec sleep 600", 0.2, r"did not answer within 0\.2 s"),
        ("echo 'no memory' >&2; exit 3", 300, "ended with status 3: no memory"),
        ("kill -9 $$", 300, "ended with status -9: it printed nothing"),
    ],
)
def test_an_interpreter_that_hangs_or_crashes_is_told(
    does: str, seconds: float, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\n{does}\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    monkeypatch.setattr(fresh, "TIMEOUT_SECONDS", seconds)
    with pytest.raises(RegistryError, match=words):
        check_model(tmp_path)
