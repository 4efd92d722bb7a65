"""What a model trains on: select Training rows, set a validation slice aside, balance the classes."""

from components.balancing.balance import build_sample, class_counts, class_weights, paper_targets, sampler_weights
from components.balancing.records import BalanceRecipe, DataRecipe, Sample, Selection
from components.balancing.selection import select, validation_slice

__all__ = [
    "BalanceRecipe",
    "DataRecipe",
    "Sample",
    "Selection",
    "build_sample",
    "class_counts",
    "class_weights",
    "paper_targets",
    "sampler_weights",
    "select",
    "validation_slice",
]
