"""ASGI: no body larger than allowed is read, whether its length is declared or not."""

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from components.errors import RequestError
from serving import metrics


class BodyLimit:
    """413 for a body of more than `most` bytes: by its declared length at once, by counting otherwise."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most
        self.words = f"the request's body is larger than the {most / 1e6:g} MB that are read."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self.most:
            await self._refuse(send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.most:
                raise RequestError(413, self.words)
            return message

        await self.app(scope, counted, send)

    async def _refuse(self, send: Send) -> None:
        metrics.REFUSED.labels("413", "RequestError").inc()
        body = json.dumps({"error": {"kind": "RequestError", "message": self.words}}).encode()
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})
