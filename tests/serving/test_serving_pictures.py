"""Whatever is sent ends as one gray picture or as an error with its status."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.errors import BadPicture, FerlineError, PictureTooLarge, UnknownPictureType
from serving.pictures import read_picture

RAMP = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8) * 2  # [40, 60], dark upper left corner


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def transparent() -> Image.Image:
    picture = Image.fromarray(RAMP).convert("RGBA")
    picture.putalpha(0)
    return picture


FORMS: dict[str, Callable[[], bytes]] = {
    "gray PNG": lambda: encode(Image.fromarray(RAMP), "PNG"),
    "colour PNG": lambda: encode(Image.fromarray(RAMP).convert("RGB"), "PNG"),
    "palette PNG": lambda: encode(Image.fromarray(RAMP).convert("P"), "PNG"),
    "16-bit PNG": lambda: encode(Image.fromarray(RAMP.astype(np.uint16) * 257), "PNG"),
    "JPEG": lambda: encode(Image.fromarray(RAMP), "JPEG", quality=95),
    "CMYK JPEG": lambda: encode(Image.fromarray(RAMP).convert("CMYK"), "JPEG", quality=95),
    "lossless WebP": lambda: encode(Image.fromarray(RAMP).convert("RGB"), "WEBP", lossless=True),
    "GIF": lambda: encode(Image.fromarray(RAMP), "GIF"),
    "BMP": lambda: encode(Image.fromarray(RAMP), "BMP"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_picture_is_read_alike(form: str) -> None:
    found = read_picture(FORMS[form]())
    assert (found.dtype, found.shape) == (np.uint8, RAMP.shape)
    difference = np.abs(found.astype(int) - RAMP)
    assert difference.mean() < 3, f"{form}: mean difference {difference.mean():.2f}, largest {difference.max()}"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(RAMP)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transposition that stores a picture this way
    if orientation > 1:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    found = read_picture(encode(stored, "PNG", exif=exif))
    assert np.array_equal(found, RAMP)


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.fromarray(RAMP), Image.fromarray(255 - RAMP)]
    found = read_picture(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert np.abs(found.astype(int) - RAMP).mean() < 3


def test_what_is_transparent_is_gray() -> None:
    assert set(read_picture(encode(transparent(), "PNG")).ravel()) == {128}


def test_what_is_half_transparent_is_mixed_with_gray() -> None:
    levels = np.arange(256, dtype=np.uint8)
    gray, alpha = np.meshgrid(levels, levels)
    picture = Image.fromarray(np.dstack([gray, gray, gray, alpha]), "RGBA")
    mixed = Image.alpha_composite(Image.new("RGBA", picture.size, (128, 128, 128, 255)), picture)
    assert np.array_equal(read_picture(encode(picture, "PNG")), np.asarray(mixed.convert("L")))


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", BadPicture, "0 bytes"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UnknownPictureType, "JPEG, PNG"),
        (b"\x00" * 5000, UnknownPictureType, "begin with 00 00"),
        (FORMS["JPEG"]()[:200], BadPicture, "broken"),
        (FORMS["gray PNG"]()[:-40], BadPicture, "broken"),
        (encode(Image.new("L", (8, 300)), "PNG"), BadPicture, "8 x 300"),
        (encode(Image.new("1", (20_000, 20_000)), "PNG"), PictureTooLarge, "pixels"),
        (encode(Image.new("1", (8_000, 8_000)), "PNG"), PictureTooLarge, "8000 x 8000"),
    ],
    ids=["empty", "svg", "zeros", "half a jpeg", "half a png", "narrow", "bomb", "large"],
)
def test_what_is_no_use_is_told_apart(data: bytes, error: type[FerlineError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        read_picture(data)
    assert type(caught.value) is error


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FORMS)), st.data())
def test_damaged_bytes_give_a_picture_or_a_4xx(form: str, data: st.DataObject) -> None:
    whole = bytearray(FORMS[form]())
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    sent = bytes(whole[: data.draw(st.integers(1, len(whole)))])
    statuses = []
    try:
        assert read_picture(sent).ndim == 2
    except FerlineError as error:
        statuses = [error.http_status]
    assert set(statuses) <= {413, 415, 422}
