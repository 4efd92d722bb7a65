"""What sources call classes and splits, in any case."""

from components.labels import CLASSES, PRIVATE_TEST, PUBLIC_TEST, SPLITS, TRAINING

TEST, UNSPLIT = "test", ""
"""Splits not decided yet: a test split that is not told apart, and a source that names none."""

CLASS_NAMES = {
    **{name: i for i, name in enumerate(CLASSES)},
    "anger": 0, "disgusted": 1, "fearful": 2, "happiness": 3, "sadness": 4, "surprised": 5,
}  # fmt: skip
SPLIT_NAMES = {
    **{name.casefold(): name for name in SPLITS},
    "train": TRAINING, "val": PUBLIC_TEST, "valid": PUBLIC_TEST, "validation": PUBLIC_TEST, "test": TEST,
    "public": PUBLIC_TEST, "private": PRIVATE_TEST,
}  # fmt: skip
