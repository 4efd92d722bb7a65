"""The expectations, as data: which table, which Great Expectations class, which limit."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from components.dataset import MANIFEST_COLUMNS, DatasetInfo
from components.labels import CLASSES, SPLITS
from components.validation.policy import Tolerance, ValidationPolicy
from components.validation.records import Severity

Argument = str | float | list[str] | list[int] | list[bool] | dict[str, list[str] | list[float]]
Arguments = dict[str, Argument]
Expectation = Literal[
    "ExpectTableColumnsToMatchSet",
    "ExpectColumnValuesToBeOfType",
    "ExpectColumnValuesToNotBeNull",
    "ExpectColumnValuesToBeUnique",
    "ExpectColumnValuesToBeInSet",
    "ExpectColumnValuesToBeBetween",
    "ExpectColumnDistinctValuesToContainSet",
    "ExpectColumnKLDivergenceToBeLessThan",
]


@dataclass(frozen=True)
class Check:
    """One expectation on one table."""

    table: str
    name: str
    expectation: Expectation
    arguments: Arguments
    what: str
    """What an offending row is, in the plural: `images are of one gray level`."""
    severity: Severity = "blocking"
    threshold: float | None = None


def schema_checks() -> list[Check]:
    """Columns, their types, no empty cells: asked of the manifest as it is."""
    wanted: Arguments = {"column_set": list(MANIFEST_COLUMNS), "exact_match": False}
    checks = [Check("manifest", "columns", "ExpectTableColumnsToMatchSet", wanted, "columns are missing")]
    for column, dtype in MANIFEST_COLUMNS.items():
        cells: Arguments = {"column": column}
        what = f"images have no `{column}`"
        checks.append(Check("manifest", f"{column}_filled", "ExpectColumnValuesToNotBeNull", cells, what))
        if dtype != "str":
            typed: Arguments = {"column": column, "type_": dtype}
            what = f"values of `{column}` should be {dtype}"
            checks.append(Check("manifest", f"{column}_type", "ExpectColumnValuesToBeOfType", typed, what))
    return checks


def dataset_checks(policy: ValidationPolicy, last: DatasetInfo | None, repeated: int) -> list[Check]:
    """Everything else, blocking and warning; repeated: how many images stand in the dataset more than once."""
    return [
        *_identity(),
        *_counts(policy),
        *_flags(policy),
        *_labels(policy, repeated),
        *_class_mix(policy.class_mix, last),
    ]


def _identity() -> Iterator[Check]:
    """The manifest speaks of these pixels, in known words."""
    yield Check("images", "unique_id", "ExpectColumnValuesToBeUnique", {"column": "id"}, "images share an id")
    labels: Arguments = {"column": "label", "value_set": list(range(len(CLASSES)))}
    what = f"images have a label outside 0 to {len(CLASSES) - 1}"
    yield Check("images", "known_label", "ExpectColumnValuesToBeInSet", labels, what)
    splits: Arguments = {"column": "split", "value_set": list(SPLITS)}
    what = f"images are in none of {', '.join(SPLITS)}"
    yield Check("images", "known_split", "ExpectColumnValuesToBeInSet", splits, what)
    what = "images differ from the sha256 in their row of the manifest"
    yield from _flag("images", "pixels_differ", Tolerance(blocking=0), what)
    what = "images break the order of split, label and sha256: a column was moved against the others"
    yield from _flag("images", "out_of_order", Tolerance(blocking=0), what)
    what = "datasets have other labels or splits than those they are named by"
    yield from _flag("dataset", "fingerprint_differs", Tolerance(blocking=0), what)


def _counts(policy: ValidationPolicy) -> Iterator[Check]:
    """Splits and classes: there, enough, and in proportion."""
    splits: Arguments = {"column": "split", "value_set": list(policy.required_splits)}
    contains: Expectation = "ExpectColumnDistinctValuesToContainSet"
    yield Check("images", "required_splits", contains, splits, "required splits are lost")
    low, few = policy.min_class_images, policy.few_class_images
    yield _at_least("classes", "images", low, f"classes have fewer than {low} images", "min_class_images")
    yield _at_least("classes", "images", few, f"classes have fewer than {few} images", "few_class_images", "warning")
    small, large = policy.min_class_share, policy.max_class_share
    yield _at_least(
        "classes", "share", small, f"classes are below {small:.0%} of a split", "min_class_share", "warning"
    )
    yield _at_most("classes", "share", large, f"classes fill more than {large:.0%} of a split", "max_class_share")
    gap = policy.class_share_gap
    what = f"classes have a share further than {gap:.0%} from Training's"
    yield _at_most("classes", "gap", gap, what, "class_share_gap", "warning")


def _flags(policy: ValidationPolicy) -> Iterator[Check]:
    """What may be amiss with single images."""
    yield from _flag("images", "constant", policy.constant, "images are of a single gray level")
    what = f"images are nearly so, with a contrast below {policy.near_constant_contrast:g}"
    yield from _flag("images", "near_constant", policy.near_constant, what)
    yield from _flag("images", "extra_copy", policy.extra_copies, "images repeat the pixels of another")
    yield from _flag("images", "leaked", policy.leaked, "test images also stand in Training")
    what = "test images have a near-duplicate in Training"
    yield from _flag("images", "near_leaked", policy.near_leaked, what)
    yield from _flag("images", "across_tests", policy.across_tests, "test images also stand in another test split")


def _labels(policy: ValidationPolicy, repeated: int) -> Iterator[Check]:
    """Labels that belong to other images: copies disagree, and pixels say nothing about labels."""
    tolerance = policy.conflicts
    if repeated < policy.conflicts_min_groups:
        tolerance = Tolerance(warning=tolerance.warning)
    what = "images with identical copies are among copies that disagree about the label"
    yield from _flag("images", "conflicting", tolerance, what)
    limit = policy.label_signal
    what = f"splits have labels that a linear probe knows by less than {limit:g} standard errors above chance"
    yield _at_least("splits", "label_signal", limit, what, "label_signal")
    what = (
        "datasets are too small for labels shifted by a row to be seen: fewer than "
        f"{policy.conflicts_min_groups} repeated images, and fewer than {policy.label_signal_min_training} in Training "
        f"or {policy.label_signal_min_images} in another split"
    )
    yield _at_least("dataset", "ways_to_see_shifted_labels", 1, what, "shifted_labels_visible", "warning")


def _class_mix(tolerance: Tolerance, last: DatasetInfo | None) -> Iterator[Check]:
    """Divergence from the last accepted dataset's classes; nothing without one."""
    if last is None:
        return
    totals = {name: sum(split.get(name, 0) for split in last.counts.values()) for name in CLASSES}
    present = {name: n / sum(totals.values()) for name, n in totals.items() if n}
    what = f"Kullback-Leibler divergence of the class mix from dataset {last.name}"
    for severity, limit in _limits(tolerance):
        arguments: Arguments = {
            "column": "class",
            "partition_object": {"values": list(present), "weights": list(present.values())},
            "threshold": limit,
            "tail_weight_holdout": 0.0001,  # without it one class the last dataset lacked gives no figure at all
        }
        yield Check("images", "class_mix", "ExpectColumnKLDivergenceToBeLessThan", arguments, what, severity, limit)


def _flag(table: str, column: str, tolerance: Tolerance, what: str) -> Iterator[Check]:
    """At most a share of the rows where the question arises may carry a flag."""
    for severity, limit in _limits(tolerance):
        arguments: Arguments = {"column": column, "value_set": [False], "mostly": 1 - min(1, limit)}
        yield Check(table, column, "ExpectColumnValuesToBeInSet", arguments, what, severity, limit)


def _at_least(table: str, column: str, low: float, what: str, name: str, severity: Severity = "blocking") -> Check:
    """No row may have less."""
    arguments: Arguments = {"column": column, "min_value": low}
    return Check(table, name, "ExpectColumnValuesToBeBetween", arguments, what, severity, low)


def _at_most(table: str, column: str, high: float, what: str, name: str, severity: Severity = "blocking") -> Check:
    """No row may have more."""
    arguments: Arguments = {"column": column, "max_value": high}
    return Check(table, name, "ExpectColumnValuesToBeBetween", arguments, what, severity, high)


def _limits(tolerance: Tolerance) -> Iterator[tuple[Severity, float]]:
    if tolerance.blocking is not None:
        yield "blocking", tolerance.blocking
    if tolerance.warning is not None:
        yield "warning", tolerance.warning
