"""The names everything else agrees on: emotion classes and dataset splits, in FER-2013's order."""

CLASSES: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Class names; a label is an index into this tuple (Goodfellow et al. 2013, arXiv 1307.0414)."""

TRAINING = "Training"
"""Images a model may learn from; a validation slice for early stopping is cut out of it."""

PUBLIC_TEST = "PublicTest"
"""Gate and every choice between recipes."""

PRIVATE_TEST = "PrivateTest"
"""Opened by `ferline evaluate --final` alone; each opening is recorded."""

SPLITS: tuple[str, ...] = (TRAINING, PUBLIC_TEST, PRIVATE_TEST)
TEST_SPLITS: tuple[str, ...] = (PUBLIC_TEST, PRIVATE_TEST)
