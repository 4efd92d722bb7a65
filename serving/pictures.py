"""Bytes that somebody sent -> one upright gray picture, or an error that says what is wrong with them; and PNGs back.

Nothing is believed but the content: the type is told by Pillow from the first bytes, and the size is looked at before
a single pixel is decoded.
"""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from components.errors import BadPicture, FerlineError, PictureTooLarge, UnknownPictureType

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MOST_PIXELS = 40_000_000
LEAST_SIDE = 16
BACKGROUND = 128  # seen through transparent pixels
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L")

Gray = npt.NDArray[np.uint8]


def read_picture(data: bytes) -> Gray:
    """uint8 [H, W], 0-255, turned as its EXIF says; the first frame of an animation.

    Raises UnknownPictureType (415), PictureTooLarge (413) or BadPicture (422).
    """
    if not data:
        raise BadPicture("the picture is empty: 0 bytes came.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _check_size(*picture.size)
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)  # a copy of 40 megapixels is 160 MB
            return _gray(picture)
    except UnidentifiedImageError as error:
        raise UnknownPictureType(
            f"{len(data)} bytes that begin with {data[:8].hex(' ')} are no picture of a kind that is read: "
            f"{', '.join(FORMATS)}."
        ) from error
    except Image.DecompressionBombError as error:
        raise PictureTooLarge(f"{error}; at most {MOST_PIXELS:,} pixels are taken.") from error
    except FerlineError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen unrelated types on broken data
        raise BadPicture(f"the picture is broken: {error}. Send it again, whole.") from error


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    """picture: uint8 [H, W], or [H, W, 3] in colour."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise PictureTooLarge(
            f"the picture has {width} x {height} pixels; at most {MOST_PIXELS:,} are taken. Send a smaller one."
        )
    if min(width, height) < LEAST_SIDE:
        raise BadPicture(f"the picture has {width} x {height} pixels; each side must be at least {LEAST_SIDE}.")


def _gray(picture: Image.Image) -> Gray:
    if picture.mode in DEEP_MODES:
        deep = np.asarray(picture)
        scale = 257 if deep.max() > 255 else 1  # 16 bits a pixel, or 8 in a wide type
        gray = np.empty(deep.shape, np.uint8)
        for k, row in enumerate(deep):  # row by row: 40 megapixels in floats would take gigabytes
            gray[k] = np.clip(row / scale, 0, 255).round()
        return gray
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        ground = Image.new("RGB", picture.size, (BACKGROUND,) * 3)
        ground.paste(picture, mask=picture)  # as alpha_composite has it, with one image less in memory
        picture = ground
    if picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGB")  # a palette's and CMYK's gray go by way of colour
    return np.asarray(picture.convert("L"), np.uint8)
