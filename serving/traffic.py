"""BentoML's request metrics by known paths.

It labels them by the whole path, and whoever asks for ever new ones, with a key or without, would make it keep three
series of each for good.
"""

from typing import Any

import bentoml
from bentoml._internal.server.http import instruments
from starlette.types import ASGIApp, Receive, Scope, Send

OWN = ("/livez", "/healthz", "/docs", "/docs.json", "/schema.json")
"""What BentoML answers itself."""
OTHER = "other"
WHOLE = "ferline.path"


def label(path: str) -> str:
    """The route of a path, such as /predictions/{id}."""
    service = bentoml.get_current_service()
    route = "" if service is None else service.desk.route(path)
    return route or (path if path in OWN else OTHER)


class KnownPaths(instruments.RunnerTrafficMetricsMiddleware):
    """The same, but that it sees the label in place of the path; what it wraps sees the path."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        async def inside(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "path": scope[WHOLE]} if WHOLE in scope else scope, receive, send)

        super().__init__(inside, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"] != "/metrics":  # which is not counted
            scope = {**scope, "path": label(scope["path"]), WHOLE: scope["path"]}
        await super().__call__(scope, receive, send)


def count_known_paths() -> None:
    """Put it in the place of BentoML's, which has no setting for it (1.4.39)."""
    setattr(instruments, "RunnerTrafficMetricsMiddleware", KnownPaths)  # noqa: B010  # a type checker forbids it
