"""What many, large or slow requests may take of the machine."""

import asyncio
import threading
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from serving import app
from serving.app import DECODERS, Desk, Limits
from serving.limits import BODIES, BodyLimit
from serving.roles import Chosen


def desk(pictures: int = 64, seconds: float = 60) -> Desk:
    """One that never comes to its model."""
    model = SimpleNamespace(size=(48, 48))
    roles = SimpleNamespace(choose=lambda client: Chosen("champion", model, None))
    return Desk(roles, SimpleNamespace(), Limits(pictures, seconds))


class Stuck:
    """Reads pictures once it is let go, and counts."""

    def __init__(self) -> None:
        self.go, self.begun, self.now, self.most = threading.Event(), [], 0, 0
        self._lock = threading.Lock()

    def __call__(self, data: bytes, *_: object) -> np.ndarray:
        with self._lock:
            self.begun.append(data)
            self.now += 1
            self.most = max(self.most, self.now)
        self.go.wait(60)
        with self._lock:
            self.now -= 1
        return np.zeros((48, 48), np.uint8)

    async def busy(self, threads: int) -> None:
        while self.now < threads:
            await asyncio.sleep(0.01)


def test_a_decode_whose_request_is_over_keeps_its_place_and_one_that_waits_leaves_the_queue() -> None:
    work = Stuck()

    async def ask() -> None:
        tried = desk()
        gone = [asyncio.create_task(tried._decode(work, b"%d" % k, None)) for k in range(DECODERS + 3)]
        await work.busy(DECODERS)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        last = asyncio.create_task(tried._decode(work, b"last", None))
        await asyncio.sleep(0.2)  # long enough to begin beside those that still run, if it could
        work.go.set()
        await last

    asyncio.run(ask())
    assert work.most == DECODERS
    assert work.begun == [*(b"%d" % k for k in range(DECODERS)), b"last"]


def test_a_batch_whose_time_is_over_is_decoded_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Stuck()
    monkeypatch.setattr(app, "read_picture", work)

    async def ask() -> httpx.Response:
        tried = desk(seconds=0.05)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(tried.app), base_url="http://service") as client:
            answer = await client.post("/predict_batch", files=[("images", b"picture")] * 5)
        work.go.set()
        await asyncio.to_thread(tried._decoding.shutdown)
        return answer

    answer = asyncio.run(ask())
    assert answer.status_code == 503
    assert len(work.begun) <= 1


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_more_bodies_than_there_is_room_for_are_refused_before_they_are_read(chunked: bool) -> None:
    read: list[int] = []

    async def ask() -> None:
        go = asyncio.Event()

        async def slow(scope, receive, send) -> None:
            read.append(len((await receive())["body"]))
            await go.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async def body():
            yield bytes(100)

        def post() -> asyncio.Task[httpx.Response]:
            return asyncio.create_task(client.post("/", content=body() if chunked else bytes(100)))

        transport = httpx.ASGITransport(BodyLimit(slow, most=100))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            inside = [post() for _ in range(BODIES)]
            await until(BODIES)
            refused = await post()
            assert refused.status_code == 503
            assert refused.headers["retry-after"]
            assert "at once" in refused.json()["error"]["message"]
            probe = asyncio.create_task(client.get("/"))  # what has no body takes no room
            await until(BODIES + 1)
            go.set()
            assert {answer.status_code for answer in await asyncio.gather(*inside, probe)} == {200}
            assert (await post()).status_code == 200  # there is room again

    async def until(requests: int) -> None:
        while len(read) < requests:
            await asyncio.sleep(0.01)

    asyncio.run(ask())
    assert sorted(read) == [0] + [100] * (BODIES + 1)
