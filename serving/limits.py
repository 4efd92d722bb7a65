"""ASGI: no body larger than allowed is read, whether its length is declared or not, and no more than memory holds."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from components.errors import RequestError
from serving.documents import error_response

BODIES = 20
"""Of the largest size, held at once by a process; of smaller ones as many as are no larger together. A form is twice in
memory while it is read: with bodies of 10 MB that is 0.4 GB."""


class BodyLimit:
    """413 for a body of more than `most` bytes: by its declared length at once, by counting otherwise.

    503 for one that finds no room beside those of the requests that are being answered, before any of it is read.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most
        self.words = f"the request's body is larger than the {most / 1e6:g} MB that are read."
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        size = self._size(dict(scope["headers"]))
        refusal = self._refusal(size)
        if refusal is not None:
            reply = error_response(refusal)
            reply.headers["Connection"] = "close"  # the body is still on its way
            await reply(scope, receive, send)
            return
        self._held += size
        try:
            await self.app(scope, self._counted(receive), send)
        finally:
            self._held -= size

    def _size(self, headers: dict[bytes, bytes]) -> int:
        """Most bytes that the body can have; one more than are read for a length that is none."""
        declared = headers.get(b"content-length", b"0")
        if b"transfer-encoding" in headers:
            return self.most
        return int(declared) if declared.isdigit() else self.most + 1

    def _refusal(self, size: int) -> RequestError | None:
        if size > self.most:
            return RequestError(413, self.words)
        if self._held + size > BODIES * self.most:
            return RequestError(503, "too much is being answered at once; send it again soon.")
        return None

    def _counted(self, receive: Receive) -> Receive:
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.most:
                raise RequestError(413, self.words)
            return message

        return counted
