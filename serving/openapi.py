"""The OpenAPI document of the endpoints in `app.py`, at /docs.json: what they take and give, with examples.

Requests are read and answers are written by `requests.py` and `documents.py`; the tests hold them to this document.
"""

from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from components import __version__
from components.labels import CLASSES
from serving.requests import Feedback, Options

Schema = dict[str, Any]
ClassName = Literal[CLASSES]  # type: ignore[valid-type]
Share = Annotated[float, Field(ge=0, le=1)]
PROBABILITIES: Schema = dict(zip(CLASSES, (0.02, 0.01, 0.02, 0.85, 0.03, 0.04, 0.03), strict=True))
ID = "01a213a2fa4b773b8a61e5acb6f32df0"


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelName(_Closed):
    """Which version answered."""

    name: str
    version: str


class FaceBox(_Closed):
    """Where the face lies in the upright picture, pixels."""

    left: int
    top: int
    width: int
    height: int


class Prediction(_Closed):
    """The answer about one face."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "id": ID, "class": "happy", "confidence": 0.85, "uncertain": False, "probabilities": PROBABILITIES,
                "face": {"left": 112, "top": 64, "width": 208, "height": 208},
                "model": {"name": "ferline-fer", "version": "3"}, "dataset": "1f0c6a2b9d3e4f50",
            }
        },
    )  # fmt: skip

    id: Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="For feedback and deletion.")]
    label: Annotated[ClassName, Field(alias="class", description="The likeliest class.")]
    confidence: Annotated[Share, Field(description="Its calibrated probability.")]
    uncertain: Annotated[bool, Field(description="At this confidence the model was wrong more often than right.")]
    probabilities: Annotated[dict[ClassName, Share], Field(description="Calibrated; they sum to 1.")]
    face: FaceBox
    model: ModelName
    dataset: Annotated[str, Field(description="Fingerprint of the dataset version the model was trained on.")]


class Explanation(Prediction):
    """The answer with its attention rollout."""

    rollout: Annotated[list[list[Share]], Field(description="Where the model looked, [H, W], 0 to 1.")]
    overlay_png: Annotated[str, Field(description="The map over the face, a PNG, base64.")]


class Problem(_Closed):
    """What is wrong and what to do."""

    kind: str
    message: str


class Error(_Closed):
    """An error."""

    error: Problem


class Predictions(_Closed):
    """One answer for each face."""

    answers: list[Prediction]


class Explanations(_Closed):
    """One explanation for each face."""

    answers: list[Explanation]


class Batch(_Closed):
    """Answers in the order of the pictures; a bad picture has its error in its place."""

    answers: list[Prediction | Error]


class Kept(_Closed):
    """What became of a label."""

    id: str
    label: Annotated[ClassName, Field(alias="class")]
    outcome: Literal["first", "repeated", "replaced"]
    before: Annotated[ClassName | None, Field(description="The class that was told before.")]


class Deleted(_Closed):
    """What was removed."""

    id: str
    deleted: Annotated[int, Field(description="Records: one, or two where a shadow answered too.")]


class Standing(_Closed):
    """What stands behind an alias."""

    model: str | None
    problem: Annotated[str | None, Field(description="What the last look at the registry met.")]


class Ready(Standing):
    """Whether a model answers."""

    ready: bool
    challenger: Annotated[Standing | None, Field(description="With canary or shadow.")] = None


class Sample(_Closed):
    """A drawn face."""

    label: Annotated[ClassName, Field(alias="class")]
    png: Annotated[str, Field(description="base64")]


class ModelCard(_Closed):
    """The served version."""

    model: ModelName
    dataset: str
    aliases: list[str]
    registered_at: str
    preset: str
    metrics: dict[str, Any]
    uncertain_below: Share
    classes: list[ClassName]
    explains: Annotated[bool, Field(description="Whether /explain can answer.")]
    decision: Annotated[dict[str, Any] | None, Field(description="The gate's, rule by rule.")]
    card: Annotated[str, Field(description="Markdown.")]


SHOWN = (Prediction, Explanation, Error, Predictions, Explanations, Batch, Kept, Deleted, Ready, Sample, ModelCard,
         Feedback)  # fmt: skip
MEANINGS = {
    400: "A form that cannot be read.",
    401: "A key is needed.",
    404: "There is nothing of that id on record.",
    409: "Not with what is there: a model without attention, or another label before this one.",
    413: "A body, a picture or a batch that is too large.",
    415: "No picture, or of a kind that is not read.",
    422: "A broken picture, no face in it, or a value out of its range.",
    429: "The key's rate is used up.",
    503: "No model, too much work or no store at the moment; Retry-After says when to ask again.",
}


@lru_cache
def document() -> Schema:
    """OpenAPI 3.1."""
    shown = [(model, "validation") for model in SHOWN]
    _, schemas = models_json_schema(shown, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    predicted, explained = _either(Prediction, Predictions), _either(Explanation, Explanations)
    broken = (400, 413, 415, 422, 503)
    png = {"schema": {"type": "string", "format": "binary"}}
    paths = {
        "/predict": {"post": _taking_pictures("predict", "One picture", "image", predicted, broken)},
        "/predict_batch": {"post": _taking_pictures("predict_batch", "Many pictures", "images", _ref(Batch), broken)},
        "/explain": {"post": _taking_pictures("explain", "One picture, and where the model looked", "image", explained,
                                              (*broken, 409), {"image/png": png})},
        "/feedback": {"post": {
            **_operation("feedback", "The true class of a prediction", _ref(Kept), (404, 409, 415, 422, 503)),
            "requestBody": {"required": True, "content": {"application/json": {
                "schema": _ref(Feedback), "example": {"id": ID, "class": "happy"}}}},
        }},
        "/predictions/{id}": {"delete": {
            **_operation("delete", "Remove a prediction, its label and its picture", _ref(Deleted), (404, 503)),
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}, "example": ID}],
        }},
        "/model": {"get": _operation("model", "The served version", _ref(ModelCard), (503,))},
        "/samples": {"get": _operation("samples", "Drawn faces to try", {"type": "array", "items": _ref(Sample)}, ())},
        "/readyz": {"get": {**_operation("ready", "Whether a model answers", _ref(Ready), ()), "security": []}},
    }  # fmt: skip
    paths["/readyz"]["get"]["responses"]["503"] = _json("No model answers.", _ref(Ready))
    keys = {"key": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "ferline", "version": __version__, "description": "What a face shows."},
        "security": [{}, {"key": []}],
        "paths": paths,
        "components": {"schemas": schemas["$defs"], "securitySchemes": keys},
    }


def _ref(model: type[BaseModel]) -> Schema:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _either(one: type[BaseModel], many: type[BaseModel]) -> Schema:
    return {"anyOf": [_ref(one), _ref(many)], "description": "A list with face=all."}


def _json(meaning: str, schema: Schema) -> Schema:
    return {"description": meaning, "content": {"application/json": {"schema": schema}}}


def _operation(name: str, summary: str, gives: Schema, errors: tuple[int, ...]) -> Schema:
    refused = {str(status): _json(MEANINGS[status], _ref(Error)) for status in sorted({*errors, 401, 429})}
    return {"operationId": name, "summary": summary, "responses": {"200": _json("The answer.", gives), **refused}}


def _taking_pictures(
    name: str, summary: str, field: str, gives: Schema, errors: tuple[int, ...], also: Schema | None = None
) -> Schema:
    """An operation on a form with pictures, or on one picture as the body."""
    found = _operation(name, summary, gives, errors)
    found["responses"]["200"]["content"].update(also or {})
    properties = Options.model_json_schema()["properties"]
    found["parameters"] = [
        {"name": key, "in": "query", "schema": {k: v for k, v in schema.items() if k != "title"}}
        for key, schema in properties.items()
    ]
    file = {"type": "string", "format": "binary"}
    files = file if field == "image" else {"type": "array", "items": file, "minItems": 1}
    form = {"type": "object", "properties": {field: files, **properties}, "required": [field],
            "additionalProperties": False}  # fmt: skip
    found["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    if field == "image":
        found["requestBody"]["content"].update({kind: {"schema": file} for kind in ("image/jpeg", "image/png")})
    return found
