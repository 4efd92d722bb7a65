"""Pictures are whole PNG files, and the same every time."""

import io

import numpy as np
import pytest
from PIL import Image

from components.evaluation.calibration import Bin
from components.evaluation.figures import confusion_png, curves_png, reliability_png

EPOCHS = [
    {
        "epoch": i,
        "train_loss": 2 / i,
        "validation_loss": 2.1 / i,
        "validation_macro_f1": 1 - 0.8 / i,
        "validation_accuracy": 1 - 0.7 / i,
    }
    for i in range(1, 5)
]
DRAW = {
    "confusion": lambda: confusion_png(np.diag([9, 1, 0, 40, 5, 6, 7]).tolist(), "a model"),
    "reliability": lambda: reliability_png([Bin(0.3, 0.2, 10), Bin(0.9, 0.95, 90)], "a model"),
    "one bin": lambda: reliability_png([Bin(1.0, 1.0, 10)], "a model"),
    "curves": lambda: curves_png(EPOCHS, "a model"),
    "one epoch": lambda: curves_png(EPOCHS[:1], "a model"),
}


@pytest.mark.parametrize("name", DRAW)
def test_a_picture_is_a_png_of_some_size_that_repeats_to_the_byte(name: str) -> None:
    picture = DRAW[name]()
    with Image.open(io.BytesIO(picture)) as image:
        assert image.format == "PNG"
        assert min(image.size) > 300
        assert len(np.unique(np.asarray(image.convert("L")))) > 20, "something is drawn"
    assert DRAW[name]() == picture
