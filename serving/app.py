"""The HTTP endpoints: pictures in, JSON out. BentoML answers what is not routed here: its probes, metrics and pages."""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.resources import files
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from components.errors import FerlineError, ModelNotFound, RequestError
from components.labels import CLASSES
from serving import metrics
from serving.batcher import Batcher
from serving.champion import Champion
from serving.documents import (
    RETRY_SECONDS,
    Document,
    Reply,
    describe_error,
    error_response,
    explained,
    prediction,
    tell,
)  # fmt: skip
from serving.faces import Face, cut_faces
from serving.hooks import check_signature
from serving.model import ServedModel
from serving.openapi import document as openapi_document
from serving.pictures import read_picture
from serving.record import Answered, Recorder, new_id
from serving.requests import Options, feedback, many_pictures, one_picture
from serving.roles import Chosen, Roles
from serving.samples import sample_faces

log = logging.getLogger("ferline.serving")
SHADOWS_WAITING = 256
"""More than this a slow challenger is not asked; what the champion answers does not wait for it."""
DECODERS = 2
"""Pictures decoded at once: one of 40 megapixels takes 0.4 GB for a while, and a container has 2 GB."""

D = TypeVar("D")
T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """What one request may ask for."""

    pictures: int
    """Most in a batch."""
    seconds: float
    """Longest time until the answer."""


@dataclass(frozen=True)
class Asked:
    """One request: when its body was there, what it carries, and which model answers it."""

    started: float
    """time.perf_counter()."""
    options: Options
    chosen: Chosen


class Desk:
    """Everything a request needs: the models, the queue before them, the record of what they said."""

    def __init__(self, roles: Roles, recorder: Recorder, limits: Limits, webhook_secret: str = "") -> None:
        self.roles, self.recorder, self.limits, self.webhook_secret = roles, recorder, limits, webhook_secret
        self.batcher, self.shadows = Batcher(), Batcher(SHADOWS_WAITING)
        self._decoding = ThreadPoolExecutor(DECODERS, thread_name_prefix="ferline-decode")
        self._shadows: set[asyncio.Task[None]] = set()

    @cached_property
    def app(self) -> Starlette:
        """Routes and errors."""
        routes = [
            Route("/", self.page, methods=["GET"]),
            Route("/predict", self._timed(self.predict), methods=["POST"]),
            Route("/predict_batch", self._timed(self.predict_batch), methods=["POST"]),
            Route("/explain", self._timed(self.explain), methods=["POST"]),
            Route("/feedback", self._timed(self.feedback), methods=["POST"]),
            Route("/predictions/{id}", self._timed(self.delete), methods=["DELETE"]),
            Route("/model", self.describe, methods=["GET"]),
            Route("/samples", self.samples, methods=["GET"]),
            Route("/hooks/mlflow", self.hook, methods=["POST"]),
            Route("/docs.json", self.schema, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
        ]
        handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
            FerlineError: _explained,
            HTTPException: _explained,
            ClientDisconnect: _gone,
            sqlite3.Error: _unwritable,
            OSError: _unwritable,
            Exception: _unexplained,
        }
        return Starlette(routes=routes, exception_handlers=handlers)

    def route(self, path: str) -> str:
        """The route that answers a path, such as /predictions/{id}; empty where none of these does."""
        routes = (route for route in self.app.routes if isinstance(route, Route))
        return next((route.path for route in routes if route.path_regex.match(path)), "")

    async def page(self, request: Request) -> Response:
        return HTMLResponse(_page())

    async def schema(self, request: Request) -> Response:
        """The OpenAPI document."""
        return Reply(openapi_document())

    async def samples(self, request: Request) -> Response:
        """Drawn faces for somebody without a picture."""
        return Reply(await run_in_threadpool(sample_faces))

    async def predict(self, request: Request) -> Response:
        """One picture -> one answer, or a list of them with face=all."""
        data, options = await one_picture(request)
        started = time.perf_counter()  # a slow upload is not the model's latency
        return Reply(await self.answer(data, Asked(started, options, self.choose(_client(request)))))

    async def answer(self, data: bytes, asked: Asked) -> Document:
        """The document of /predict."""
        answered = await self._ask(await self._decode(_faces, data, asked), asked)
        documents = [prediction(item) for item in answered]
        return {"answers": documents} if asked.options.face == "all" else documents[0]

    async def predict_batch(self, request: Request) -> Response:
        """Many pictures -> answers in their order; a bad one has its error in its place."""
        pictures, options = await many_pictures(request, self.limits.pictures)
        started = time.perf_counter()
        if options.face == "all":
            raise RequestError(422, "face=all is for single pictures: in a batch every picture has one answer.")
        asked = Asked(started, options, self.choose(_client(request)))
        over = threading.Event()
        try:
            cut = await self._decode(partial(_cut_all, over), pictures, asked)
        finally:
            over.set()
        answered = iter(await self._ask([face for face in cut if isinstance(face, Face)], asked))
        documents = [prediction(next(answered)) if isinstance(f, Face) else describe_error(f) for f in cut]
        return Reply({"answers": documents})

    async def explain(self, request: Request) -> Response:
        """An answer with its rollout map, as numbers and as a PNG over the face; the PNG alone if that is accepted."""
        data, options = await one_picture(request)
        started = time.perf_counter()  # a slow upload is not the model's latency
        asked = Asked(started, options, self.choose(_client(request)))
        documents, pngs = await self.explanation(data, asked)
        if request.headers.get("accept", "").startswith("image/png"):
            return Response(pngs[0], media_type="image/png")
        return Reply({"answers": documents} if options.face == "all" else documents[0])

    async def explanation(self, data: bytes, asked: Asked) -> tuple[list[Document], list[bytes]]:
        """The documents of /explain and their PNGs, one for each face that was answered."""
        model = asked.chosen.model
        if not model.has_rollout:
            raise RequestError(
                409, f"version {model.version.version} is a {model.package['preset']} without attention: it has no "
                "rollout to show. Ask /predict, or promote a transformer.",
            )  # fmt: skip
        answered = await self._ask(await self._decode(_faces, data, asked), asked)
        return await run_in_threadpool(explained, answered, asked.options.colours, asked.options.strength)

    async def feedback(self, request: Request) -> Response:
        """The true class of a prediction, later."""
        told = await feedback(request)
        label = CLASSES.index(told.label)
        earlier = await run_in_threadpool(self.recorder.journal.label, told.id, label, told.replace)
        before = None if earlier is None else CLASSES[earlier]
        if before not in (None, told.label) and not told.replace:
            metrics.FEEDBACK.labels("refused").inc()
            raise RequestError(
                409, f"prediction {told.id} was told to be {before} before; send \"replace\": true to make it "
                f"{told.label}.",
            )  # fmt: skip
        outcome = "first" if before is None else "repeated" if before == told.label else "replaced"
        metrics.FEEDBACK.labels(outcome).inc()
        return Reply({"id": told.id, "class": told.label, "outcome": outcome, "before": before})

    async def delete(self, request: Request) -> Response:
        """Remove a prediction, its label and its picture for good."""
        id = request.path_params["id"]
        rows = await run_in_threadpool(self.recorder.journal.delete, id)
        return Reply({"id": id, "deleted": rows})

    async def hook(self, request: Request) -> Response:
        """MLflow says that something moved: every worker looks at once."""
        if not self.webhook_secret:
            raise RequestError(404, "no webhook is set up: FERLINE_SERVE_WEBHOOK_SECRET is empty.")
        check_signature(self.webhook_secret, request.headers, await request.body())
        await run_in_threadpool(self.roles.champion.wake)
        return Reply({"looking": True}, 202)

    async def describe(self, request: Request) -> Response:
        """The served version with all that is known of it."""
        return Reply(tell(self._champion()))

    async def ready(self, request: Request) -> Response:
        """200 while a model answers, with what the last look at the registry met."""
        champion, challenger = self.roles.champion, self.roles.challenger
        model = champion.current
        known: Document = {"ready": model is not None, **_standing(champion)}
        if challenger is not None:
            known["challenger"] = _standing(challenger)
        return Reply(known, 200 if model else 503)

    def choose(self, client: str) -> Chosen:
        """The model for a client; raises RequestError 503 where there is none."""
        with _explaining_none():
            return self.roles.choose(client)

    def _champion(self) -> ServedModel:
        with _explaining_none():
            return self.roles.champion.model()

    async def _ask(self, faces: list[Face], asked: Asked) -> list[Answered]:
        """Answers to faces, logged."""
        chosen, ids = asked.chosen, [new_id() for _ in faces]
        answered = await _answers(self.batcher, faces, ids, chosen.model)
        await self.recorder.keep(answered, chosen.role, asked.options.tag, asked.started)
        if chosen.shadow is not None:
            task = asyncio.create_task(self._shadow(faces, ids, chosen.shadow, asked.options.tag))
            self._shadows.add(task)  # the loop itself holds no reference
            task.add_done_callback(self._shadows.discard)
        return answered

    async def _decode(self, work: Callable[[D, Asked], T], data: D, asked: Asked) -> T:
        """A request that ends early leaves the queue; what has begun keeps its thread until it is done."""
        return await asyncio.get_running_loop().run_in_executor(self._decoding, work, data, asked)

    async def _shadow(self, faces: list[Face], ids: list[str], model: ServedModel, tag: str) -> None:
        """The challenger's answer to what the champion has answered, for the log alone."""
        started = time.perf_counter()
        try:
            await self.recorder.keep(await _answers(self.shadows, faces, ids, model), "shadow", tag, started)
        except RequestError:  # too many wait: the challenger is slower than the traffic
            metrics.SHADOWS_DROPPED.inc(len(faces))
        except Exception:  # nobody waits for it
            log.exception("the shadow, version %s, failed", model.version.version)

    def _timed(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def within(request: Request) -> Response:
            try:
                async with asyncio.timeout(self.limits.seconds):
                    return await endpoint(request)
            except TimeoutError as error:
                raise RequestError(
                    503, f"no answer within {self.limits.seconds:g} seconds; send it again, or less at once.",
                    retry_after=RETRY_SECONDS,
                ) from error  # fmt: skip

        return within


async def _answers(batcher: Batcher, faces: list[Face], ids: list[str], model: ServedModel) -> list[Answered]:
    # All are queued before one is waited for, so that they share a run of the model.
    answers = await asyncio.gather(*(batcher.ask(model, face.crop) for face in faces))
    return [Answered(id, face, answer, model) for id, face, answer in zip(ids, faces, answers, strict=True)]


def allow_origins(app: ASGIApp, origins: str) -> ASGIApp:
    """CORS for some origins, with commas between them; as it is for none."""
    named = [origin.strip() for origin in origins.split(",") if origin.strip()]
    if not named:
        return app
    return CORSMiddleware(app, named, allow_methods=["*"], allow_headers=["*"])


@contextmanager
def _explaining_none() -> Iterator[None]:
    """No model at all is a state of the service, not of what was asked."""
    try:
        yield
    except ModelNotFound as error:
        raise RequestError(503, f"{error} `make run` trains and promotes one.") from error


def _page() -> str:
    return (files("serving") / "page.html").read_text()


def _client(request: Request) -> str:
    """Who asks, for a canary that is to stay with a client: what it calls itself, its key, its address."""
    named = request.headers.get("x-client-id") or request.scope.get("ferline.key")
    return str(named or (request.client.host if request.client else ""))


def _faces(data: bytes, asked: Asked) -> list[Face]:
    return cut_faces(read_picture(data), asked.options.face, asked.chosen.model.size, asked.options.margin)


def _cut_all(over: threading.Event, pictures: list[bytes], asked: Asked) -> list[Face | FerlineError]:
    """over: nobody waits any more; a thread cannot be cancelled."""
    return [_face_or_error(data, asked) for data in pictures if not over.is_set()]


def _face_or_error(data: bytes, asked: Asked) -> Face | FerlineError:
    try:
        face = _faces(data, asked)[0]
        return replace(face, cut=face.crop)  # the whole pictures of a batch are not kept
    except FerlineError as error:
        return error


async def _explained(request: Request, error: Exception) -> Response:
    """Errors with a message for whoever sent the request."""
    return error_response(error)


async def _gone(request: Request, error: Exception) -> Response:
    """The client hung up while it sent: nobody reads this, and nobody is at fault."""
    return Response(status_code=400)


async def _unwritable(request: Request, error: Exception) -> Response:
    """A full or broken disk, a locked spool: not the client's fault, and it may pass."""
    log.error("%s %s could not be carried out: %s", request.method, request.url.path, error)
    return error_response(
        RequestError(503, "the service cannot write to its disk now; its log says why.", retry_after=RETRY_SECONDS)
    )


def _standing(model: Champion) -> Document:
    now = model.current
    return {"model": None if now is None else now.version.version, "problem": model.problem or None}


async def _unexplained(request: Request, error: Exception) -> Response:
    """A fault of ours: its trace goes to the log, never to the client."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    metrics.REFUSED.labels("500", type(error).__name__).inc()
    return Reply({"error": {"kind": "InternalError", "message": "the service failed; its log says why."}}, 500)
