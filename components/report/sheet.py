"""A contact sheet: many small faces on one picture."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

PAPER, INK = 255, 40
GAP = 2
CAPTION_HEIGHT = 13


def contact_sheet(
    images: npt.NDArray[np.uint8], captions: Sequence[str] | None = None, columns: int = 8, scale: int = 2
) -> Image.Image:
    """Faces in rows of `columns`, each enlarged `scale` times and with its caption underneath.

    images: uint8 [N, H, W]; captions: N texts, or None for none. Returns a gray picture.
    """
    count, height, width = images.shape
    if captions is not None and len(captions) != count:
        raise ValueError(f"{count} images and {len(captions)} captions: give one caption an image, or None.")
    below = GAP + (CAPTION_HEIGHT if captions else 0)
    step_x, step_y = width * scale + GAP, height * scale + below
    rows = -(-count // columns)
    sheet = Image.new("L", (columns * step_x + GAP, max(rows, 1) * step_y + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(10)
    for k, image in enumerate(images):
        left, top = GAP + k % columns * step_x, GAP + k // columns * step_y
        sheet.paste(
            Image.fromarray(image).resize((width * scale, height * scale), Image.Resampling.BICUBIC), (left, top)
        )
        if captions:
            pen.text((left + 1, top + height * scale), captions[k], fill=INK, font=font)
    return sheet
