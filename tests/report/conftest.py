"""One made-up comparison and its page for all tests."""

from pathlib import Path

import pytest

from components.dataset import Dataset
from components.report.comparison import Contest
from components.report.comparison_page import write_comparison
from tests.report.contests import NAMES, SEEDS, hold


@pytest.fixture(scope="session")
def contest(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Contest:
    return hold(NAMES, SEEDS, tiny_dataset, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def folder(contest: Contest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("comparison") / "out"
    write_comparison(contest, out)
    return out
