"""Group labels that a user brings along: which group of people each image shows."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.dataset import Dataset
from components.errors import DataError


def read_groups(path: Path, dataset: Dataset) -> dict[str, str]:
    """Id -> group, from a CSV with columns `id` and `group`; other columns are not read.

    Raises DataError for no such file, a missing column, an empty cell, an id given twice or unknown to the dataset.
    """
    known = set(dataset.manifest["id"].astype(str))
    groups: dict[str, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            _check_head(path, reader.fieldnames or ())
            for row in reader:
                name, group = ((row[column] or "").strip() for column in ("id", "group"))
                _check_row(f"{path}, line {reader.line_num}", name, group, known, groups)
                groups[name] = group
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a CSV: {error}.") from error
    if not groups:
        raise DataError(f"{path} has a header but no rows: each row names an image's id and its group.")
    return groups


def _check_head(path: Path, columns: Sequence[str]) -> None:
    for needed in ("id", "group"):
        if needed not in columns:
            raise DataError(
                f"{path}, line 1: there is no column {needed!r} (columns: {', '.join(columns) or 'none'}); "
                "group labels are a CSV with the columns id and group."
            )


def _check_row(place: str, name: str, group: str, known: set[str], before: Mapping[str, str]) -> None:
    for column, value in (("id", name), ("group", group)):
        if not value:
            raise DataError(f"{place}: column {column!r} is empty; leave the row out where a group is not known.")
    if name not in known:
        raise DataError(f"{place}, column 'id': the dataset has no image {name!r}; its manifest.parquet lists them.")
    if name in before:
        raise DataError(f"{place}, column 'id': {name!r} was given before, as group {before[name]!r}.")
