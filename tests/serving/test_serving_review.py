"""What a review of the service found: each of these failed once."""

import asyncio
import io
import struct
import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.errors import BadPicture, RequestError
from components.evaluation.scoring import Outputs
from components.journal import Journal, Logbook
from components.predictions import Prediction
from components.store import LocalStore
from serving.batcher import Batcher
from serving.faces import cut_faces
from serving.overlay import overlay
from serving.pictures import read_picture


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def with_exif(data: bytes, exif: bytes) -> bytes:
    """A PNG with an eXIf chunk, its checksum right, behind the header."""
    chunk = b"eXIf" + exif
    return data[:33] + struct.pack(">I", len(exif)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


@pytest.mark.parametrize("exif", [b"MM\0*\0", b"II*\0\x08\0\0\0\xff\xff", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03"])
def test_a_damaged_exif_block_is_a_broken_picture_or_passed_over(exif: bytes) -> None:
    data = with_exif(png(np.full((48, 48), 90, np.uint8)), exif)
    with suppress(BadPicture):
        assert read_picture(data).shape == (48, 48)


@pytest.mark.parametrize("shape", [(16, 30_000), (30_000, 16)])
def test_a_very_long_picture_is_searched_and_drawn_over(shape: tuple[int, int]) -> None:
    picture = np.zeros(shape, np.uint8)
    (face,) = cut_faces(picture, "none", (48, 48))
    assert overlay(face.cut, np.zeros((48, 48), np.float32), "viridis", 0.5).startswith(b"\x89PNG")
    with pytest.raises(BadPicture):
        cut_faces(picture, "auto", (48, 48))


def test_sixteen_bits_a_pixel_are_scaled_as_before() -> None:
    deep = np.array([[0, 257, 65_535] * 16] * 16, np.uint16)
    assert (read_picture(png(deep))[0, :3] == [0, 1, 255]).all()


class SlowStore(LocalStore):
    """A store as far away as an S3 server."""

    def put_bytes(self, name: str, data: bytes) -> str:
        time.sleep(0.03)
        return super().put_bytes(name, data)


def row() -> Prediction:
    import uuid6

    return Prediction(uuid6.uuid7().hex, "1", "champion", np.full(7, 1 / 7, np.float32), False, 1, 1, 1, 48, 1)


def test_a_shipment_ends_while_traffic_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path, Logbook(SlowStore(tmp_path / "store")), 30)
    journal.spool.add([row()])
    over = threading.Event()

    def traffic() -> None:
        while not over.is_set():
            journal.spool.add([row()])
            time.sleep(0.005)

    busy = threading.Thread(target=traffic)
    busy.start()
    shipping = threading.Thread(target=journal.ship)
    shipping.start()
    shipping.join(20)
    ended = not shipping.is_alive()
    over.set()
    busy.join()
    shipping.join()
    assert ended


class Slow:
    """A model that takes its time, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    def answer(self, crops: np.ndarray) -> None:
        self.asked += len(crops)
        time.sleep(0.2)
        raise RuntimeError("no answer is needed here")


def test_faces_whose_clients_have_gone_are_not_asked_about() -> None:
    model, crop = Slow(), np.zeros((48, 48), np.uint8)

    async def ask() -> None:
        batcher = Batcher()
        first = asyncio.create_task(batcher.ask(model, crop))
        await asyncio.sleep(0.05)
        later = [asyncio.create_task(batcher.ask(model, crop)) for _ in range(50)]
        await asyncio.sleep(0.01)
        for task in later:
            task.cancel()
        with pytest.raises(RuntimeError):
            await first
        await asyncio.sleep(0.05)

    asyncio.run(ask())
    assert model.asked == 1


class Sure:
    """A model that answers one class."""

    def __init__(self, label: int) -> None:
        self.label = label

    def answer(self, crops: np.ndarray) -> Outputs:
        return Outputs(np.eye(7, dtype=np.float32)[[self.label] * len(crops)])


def test_faces_for_two_models_that_wait_together_are_answered_by_their_own() -> None:
    models, crop = (Sure(0), Sure(1)), np.zeros((48, 48), np.uint8)

    async def ask() -> list[int]:
        batcher = Batcher()
        answers = await asyncio.gather(*(batcher.ask(models[k % 2], crop) for k in range(8)))
        return [int(answer.probabilities.argmax()) for answer in answers]

    assert asyncio.run(ask()) == [0, 1] * 4


def test_a_full_queue_of_shadows_refuses_by_itself() -> None:
    async def ask() -> None:
        batcher, crop = Batcher(2), np.zeros((48, 48), np.uint8)
        waiting = [asyncio.create_task(batcher.ask(Slow(), crop)) for _ in range(4)]
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert any(isinstance(outcome, RequestError) for outcome in done)

    asyncio.run(ask())
