"""The HTTP endpoints: pictures in, JSON out. BentoML answers what is not routed here: its probes, metrics and pages."""

import asyncio
import base64
import logging
import uuid
from collections.abc import Awaitable, Callable
from functools import cached_property
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from components.errors import FerlineError, ModelNotFound, RequestError
from components.labels import CLASSES
from serving import metrics
from serving.batcher import Answer, Batcher
from serving.champion import Champion
from serving.faces import Face, cut_faces
from serving.model import ServedModel
from serving.overlay import overlay
from serving.pictures import read_picture
from serving.requests import Options, many_pictures, one_picture

log = logging.getLogger("ferline.serving")
Document = dict[str, Any]
RETRY_SECONDS = "5"


class Desk:
    """Everything a request needs: the champion, the queue before it, the limits."""

    def __init__(self, champion: Champion, most_pictures: int) -> None:
        self.champion, self.most_pictures = champion, most_pictures
        self.batcher = Batcher()

    @cached_property
    def app(self) -> Starlette:
        """Routes and errors."""
        routes = [
            Route("/", self.page, methods=["GET"]),
            Route("/predict", self.predict, methods=["POST"]),
            Route("/predict_batch", self.predict_batch, methods=["POST"]),
            Route("/explain", self.explain, methods=["POST"]),
            Route("/model", self.describe, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
        ]
        handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
            FerlineError: _explained,
            HTTPException: _explained,
            Exception: _unexplained,
        }
        return Starlette(routes=routes, exception_handlers=handlers)

    @cached_property
    def paths(self) -> frozenset[str]:
        """What is routed here."""
        return frozenset(route.path for route in self.app.routes if isinstance(route, Route))

    @cached_property
    def page_text(self) -> str:
        """The page, read once."""
        return (files("serving") / "page.html").read_text()

    async def page(self, request: Request) -> Response:
        return HTMLResponse(self.page_text)

    async def predict(self, request: Request) -> Response:
        """One picture -> one answer, or a list of them with face=all."""
        return JSONResponse(await self.answer(*await one_picture(request)))

    async def answer(self, data: bytes, options: Options) -> Document:
        """The document of /predict."""
        model = self._model()
        faces = await run_in_threadpool(_faces, data, options, model)
        answered = await asyncio.gather(*(self.batcher.ask(model, face.crop) for face in faces))
        answers = [self._document(model, face, answer) for face, answer in zip(faces, answered, strict=True)]
        return {"answers": answers} if options.face == "all" else answers[0]

    async def predict_batch(self, request: Request) -> Response:
        """Many pictures -> answers in their order; a bad one has its error in its place."""
        pictures, options = await many_pictures(request, self.most_pictures)
        if options.face == "all":
            raise RequestError(422, "face=all is for single pictures: in a batch every picture has one answer.")
        model = self._model()
        cut = await run_in_threadpool(lambda: [_face_or_error(data, options, model) for data in pictures])
        # All are queued before one is waited for, so that they share a run of the model.
        answered = iter(await asyncio.gather(*(self.batcher.ask(model, f.crop) for f in cut if isinstance(f, Face))))
        documents = [
            self._document(model, face, next(answered)) if isinstance(face, Face) else _error(face) for face in cut
        ]
        return JSONResponse({"answers": documents})

    async def explain(self, request: Request) -> Response:
        """An answer with its rollout map, as numbers and as a PNG over the face; the PNG alone if that is accepted."""
        document, png = await self.explanation(*await one_picture(request))
        if request.headers.get("accept", "").startswith("image/png"):
            return Response(png, media_type="image/png")
        return JSONResponse(document)

    async def explanation(self, data: bytes, options: Options) -> tuple[Document, bytes]:
        """The document of /explain, and its PNG by itself."""
        model = self._model()
        if not model.has_rollout:
            raise RequestError(
                409, f"version {model.version.version} is a {model.package['preset']} without attention: it has no "
                "rollout to show. Ask /predict, or promote a transformer.",
            )  # fmt: skip
        if options.face == "all":
            raise RequestError(422, "face=all is for /predict: an explanation is of one face.")
        (face,) = await run_in_threadpool(_faces, data, options, model)
        answer = await self.batcher.ask(model, face.crop)
        assert answer.rollout is not None
        png = await run_in_threadpool(overlay, face.cut, answer.rollout, options.colours, options.strength)
        document = self._document(model, face, answer)
        document["rollout"] = answer.rollout.round(4).tolist()
        document["overlay_png"] = base64.b64encode(png).decode()
        return document, png

    async def describe(self, request: Request) -> Response:
        """The served version with all that is known of it."""
        model = self._model()
        return JSONResponse(
            {
                **_model_facts(model),
                "aliases": list(model.version.aliases),
                "registered_at": model.version.created_at,
                "preset": model.package["preset"],
                "metrics": model.package["metrics"],
                "uncertain_below": model.package["uncertain_below"],
                "classes": list(CLASSES),
                "explains": model.has_rollout,
                "decision": model.decision,
                "card": model.card,
            }
        )

    async def ready(self, request: Request) -> Response:
        """200 while a model answers, with what the last look at the registry met."""
        model, problem = self.champion.current, self.champion.problem
        known = {"model": None if model is None else model.version.version, "problem": problem or None}
        return JSONResponse({"ready": model is not None, **known}, 200 if model else 503)

    def _model(self) -> ServedModel:
        try:
            return self.champion.model()
        except ModelNotFound as error:
            raise RequestError(503, f"{error} `make run` trains and promotes one.") from error

    def _document(self, model: ServedModel, face: Face, answer: Answer) -> Document:
        best = int(answer.probabilities.argmax())
        confidence = float(answer.probabilities[best])
        uncertain = confidence <= model.package["uncertain_below"]
        version = model.version.version
        metrics.PREDICTIONS.labels(version, CLASSES[best]).inc()
        metrics.CONFIDENCE.labels(version).observe(confidence)
        if uncertain:
            metrics.UNCERTAIN.labels(version).inc()
        box = face.box
        return {
            "id": uuid.uuid4().hex,
            "class": CLASSES[best],
            "confidence": round(confidence, 6),
            "uncertain": uncertain,
            "probabilities": {name: round(float(p), 6) for name, p in zip(CLASSES, answer.probabilities, strict=True)},
            "face": {"left": box.left, "top": box.top, "width": box.width, "height": box.height},
            **_model_facts(model),
        }


def _model_facts(model: ServedModel) -> Document:
    return {
        "model": {"name": model.version.name, "version": model.version.version},
        "dataset": model.package["fingerprint"],
    }


def _faces(data: bytes, options: Options, model: ServedModel) -> list[Face]:
    return cut_faces(read_picture(data), options.face, model.size, options.margin)


def _face_or_error(data: bytes, options: Options, model: ServedModel) -> Face | FerlineError:
    try:
        return _faces(data, options, model)[0]
    except FerlineError as error:
        return error


def _error(error: Exception) -> Document:
    return {"error": {"kind": type(error).__name__, "message": str(error)}}


async def _explained(request: Request, error: Exception) -> Response:
    """Errors with a message for whoever sent the request."""
    if isinstance(error, HTTPException):
        status, document = error.status_code, {"error": {"kind": "RequestError", "message": error.detail}}
    else:
        status, document = getattr(error, "http_status", 500), _error(error)
    metrics.REFUSED.labels(str(status), document["error"]["kind"]).inc()
    return JSONResponse(document, status, {"Retry-After": RETRY_SECONDS} if status == 503 else None)


async def _unexplained(request: Request, error: Exception) -> Response:
    """A fault of ours: its trace goes to the log, never to the client."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    metrics.REFUSED.labels("500", type(error).__name__).inc()
    return JSONResponse({"error": {"kind": "InternalError", "message": "the service failed; its log says why."}}, 500)
