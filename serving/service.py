"""The BentoML service: `bentoml serve serving.service:FaceService`, or `make serve`.

The endpoints are those of `serving/app.py`, put before BentoML's own: a typed image input of BentoML takes either a
form or a raw body, never both, and answers a file that is no image with 500 (1.4.39). The methods below declare them
to BentoML, for its schema, its OpenAPI page and its clients.
"""

from pathlib import Path
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType
from starlette.types import ASGIApp, Receive, Scope, Send

from components.registry.mlflow import Registry
from components.settings import load_settings
from serving.app import Desk
from serving.champion import Champion
from serving.faces import FaceMode
from serving.limits import BodyLimit
from serving.requests import Colours, Options

Picture = Annotated[Path, ContentType("image/*")]


class Front:
    """ASGI: what the desk routes goes there, the rest to BentoML."""

    def __init__(self, app: ASGIApp) -> None:
        self.bentoml = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = bentoml.get_current_service() if scope["type"] == "http" else None
        if service is not None and scope["path"] in service.desk.paths:
            await service.front(scope, receive, send)
        else:
            await self.bentoml(scope, receive, send)


@bentoml.service(name="ferline", http={"host": "127.0.0.1", "port": 3000}, traffic={"timeout": 30})
class FaceService:
    """Serves whatever the registry's alias points at; follows it when it moves."""

    def __init__(self) -> None:
        s = load_settings()
        registry = Registry(s.mlflow_uri, s.root / "mlflow-artifacts", s.model_name)
        champion = Champion(registry, s.root / "serving", s.serve_version, s.serve_poll_seconds)
        champion.start()
        self.desk = Desk(champion, s.serve_batch)
        self.front = BodyLimit(self.desk.app, round(s.serve_body_mb * 1e6))

    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict(self, image: Picture, face: FaceMode = "auto", margin: float = 0.0) -> dict[str, Any]:
        """Class, calibrated probabilities and face box of one picture: field `image`, or the picture as the body."""
        return await self.desk.answer(image.read_bytes(), Options(face=face, margin=margin))

    @bentoml.api  # type: ignore[untyped-decorator]
    async def explain(self, image: Picture, face: FaceMode = "auto", colours: Colours = "viridis") -> dict[str, Any]:
        """The same with the attention rollout, as numbers and as a PNG over the face."""
        document, _ = await self.desk.explanation(image.read_bytes(), Options(face=face, colours=colours))
        return document


FaceService.add_asgi_middleware(Front)  # type: ignore[attr-defined]  # the decorator made a Service of it
