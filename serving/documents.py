"""What goes out, as JSON documents."""

import base64
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from components.errors import RequestError
from components.labels import CLASSES
from serving import metrics
from serving.model import ServedModel
from serving.overlay import overlay
from serving.record import Answered

Document = dict[str, Any]
RETRY_SECONDS = 5


class Reply(JSONResponse):
    """JSON; a map of 2,304 numbers takes json.dumps a millisecond and orjson a twentieth of one."""

    def render(self, content: object) -> bytes:
        return orjson.dumps(content)


def prediction(answered: Answered) -> Document:
    """The answer about one face; counted in the metrics."""
    version = answered.model.version.version
    probabilities, box = answered.answer.probabilities, answered.face.box
    best = int(probabilities.argmax())
    confidence = float(probabilities[best])
    metrics.PREDICTIONS.labels(version, CLASSES[best]).inc()
    metrics.CONFIDENCE.labels(version).observe(confidence)
    if answered.uncertain:
        metrics.UNCERTAIN.labels(version).inc()
    return {
        "id": answered.id,
        "class": CLASSES[best],
        "confidence": round(confidence, 6),
        "uncertain": answered.uncertain,
        "probabilities": {name: round(float(p), 6) for name, p in zip(CLASSES, probabilities, strict=True)},
        "face": {"left": box.left, "top": box.top, "width": box.width, "height": box.height},
        **_facts(answered.model),
    }


def explained(answered: list[Answered], colours: str, strength: float) -> tuple[list[Document], list[bytes]]:
    """Answers with their rollout maps, and the PNGs by themselves. Of a model with attention."""
    documents, pngs = [], []
    for item in answered:
        heat = item.answer.rollout
        assert heat is not None
        pngs.append(overlay(item.face.cut, heat, colours, strength))
        shown = {"rollout": heat.astype(float).round(4).tolist(), "overlay_png": base64.b64encode(pngs[-1]).decode()}
        documents.append({**prediction(item), **shown})
    return documents, pngs


def tell(model: ServedModel) -> Document:
    """Everything that is known of a served version."""
    return {
        **_facts(model),
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


def describe_error(error: Exception) -> Document:
    """What is wrong, for whoever asked."""
    return {"error": {"kind": type(error).__name__, "message": str(error)}}


def error_response(error: Exception) -> Reply:
    """An error that explains itself, as JSON with its status."""
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException):
        headers.update(error.headers or {})
        error = RequestError(error.status_code, error.detail)
    status, document = getattr(error, "http_status", 500), describe_error(error)
    metrics.REFUSED.labels(str(status), document["error"]["kind"]).inc()
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    again = getattr(error, "retry_after", None) or (RETRY_SECONDS if status == 503 else None)
    if again:
        headers["Retry-After"] = str(again)
    return Reply(document, status, headers)


def _facts(model: ServedModel) -> Document:
    return {
        "model": {"name": model.version.name, "version": model.version.version},
        "dataset": model.package["fingerprint"],
    }
