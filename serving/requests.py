"""What came in, as pictures and options: one picture as a form field or as the body itself, many as form fields."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartParser
from starlette.requests import Request

from components.errors import RequestError
from components.labels import CLASSES
from serving.faces import FaceMode

Colours = Literal["viridis", "inferno", "magma", "jet"]


class Options(BaseModel):
    """From the query, or from fields of the form, which win."""

    model_config = ConfigDict(extra="forbid")

    face: FaceMode = "auto"
    """How a face is looked for in the picture."""
    margin: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a found face's side that is added on each side."""
    colours: Colours = "viridis"
    """Of the explanation's overlay."""
    tag: Annotated[str, Field(max_length=64, pattern=r"^[\w .:/-]*$")] = ""
    """Goes with the prediction into the log: a camera, a site, a group, by which drift is looked at."""
    strength: Annotated[float, Field(ge=0, le=1)] = 0.6
    """Of the explanation's colours over the face."""


class Feedback(BaseModel):
    """The true class of a prediction, told later."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    id: Annotated[str, Field(min_length=1, max_length=64)]
    """As the answer named it."""
    label: Annotated[Literal[CLASSES], Field(alias="class")]  # type: ignore[valid-type]
    """The true class."""
    replace: bool = False
    """Take this class where another was told before."""


async def feedback(request: Request) -> Feedback:
    """A JSON body or a form; raises RequestError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(415, 'feedback is JSON, such as {"id": "0199...", "class": "happy"}.')
    try:
        return Feedback.model_validate_json(await request.body())
    except ValidationError as error:
        raise RequestError(422, _first(error, Feedback)) from error


async def one_picture(request: Request) -> tuple[bytes, Options]:
    """The field `image` of a form, or the whole body; raises RequestError."""
    if not _is_form(request):
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind and not kind.startswith("image/") and kind != "application/octet-stream":
            raise RequestError(
                415, f"content-type {kind} is not read: send multipart/form-data with a field `image`, or image/*."
            )
        return await request.body(), _options(request, {})
    files, fields = await _form(request)
    if [name for name, _ in files] != ["image"]:
        raise RequestError(
            422, f"the form holds files in {[name for name, _ in files] or 'no field'}; one file `image` is asked for."
        )
    return files[0][1], _options(request, fields)


async def many_pictures(request: Request, most: int) -> tuple[list[bytes], Options]:
    """Files of a form's fields `images`, in their order; raises RequestError."""
    if not _is_form(request):
        raise RequestError(415, "send multipart/form-data with a field `images` for every picture.")
    files, fields = await _form(request)
    options = _options(request, fields)
    pictures = [data for name, data in files if name in ("images", "image")]
    if not pictures:
        raise RequestError(422, "the form holds no file in a field `images`.")
    strange = sorted({name for name, _ in files} - {"images", "image"})
    if strange:  # left out, the answers would stand for other pictures than their places say
        raise RequestError(422, f"the form holds files in {strange}; every picture goes into a field `images`.")
    if len(pictures) > most:
        raise RequestError(413, f"{len(pictures)} pictures came; at most {most} are answered in one request.")
    return pictures, options


MultiPartParser.spool_max_size = 1 << 30
"""Forms stay in memory, whose size the body's limit sees to: a full disk must not stop an answer."""


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def _form(request: Request) -> tuple[list[tuple[str, bytes]], dict[str, str]]:
    """Files and other fields by name; Starlette answers a form that cannot be read with 400."""
    async with request.form(max_files=1000, max_fields=100) as form:
        items = form.multi_items()
        files = [(name, await value.read()) for name, value in items if isinstance(value, UploadFile)]
        return files, {name: _plain(value) for name, value in items if isinstance(value, str)}


def _plain(value: str) -> str:
    """BentoML's client sends a string as JSON, in quotation marks."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def _options(request: Request, fields: dict[str, str]) -> Options:
    query = dict(request.query_params)
    try:
        Options.model_validate(query)  # a mistake in it is told even where a field stands over it
        return Options.model_validate({**query, **fields})
    except ValidationError as error:
        raise RequestError(422, _first(error, Options)) from error


def _first(error: ValidationError, model: type[BaseModel]) -> str:
    """What is wrong, in a sentence."""
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"])) or "the body"
    names = [field.alias or name for name, field in model.model_fields.items()]
    allowed = f" There are {', '.join(names)}." if first["type"] == "extra_forbidden" else ""
    return f"{name}: {first['msg']}.{allowed}"
