"""What a client sent becomes options and images, within the limits; no path and no address in it is ever opened."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from piaa.serve.refusals import Fault, Refusal
from piaa.serve.schema import Options, TagIn
from piaa.serve.settings import Settings

FILES = ("image", "images")
"""Names of the parts of a form that are images."""
MOST_FIELDS = 10_000
FIELD_BYTES = 64 * 1024


class _InMemory(MultiPartParser):
    """Nothing is written to a disk: the whole body is bounded already."""

    spool_max_size = 2**40


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        options: what is asked for.
        names: of the images.
        images: the bytes of each, or why there are none.
    """

    options: Options
    names: list[str]
    images: list[bytes | Fault]


def declared_size(request: Request, settings: Settings) -> int:
    """Bytes of the body that must be reckoned with, before any of it is read.

    Raises:
        Refusal: 413 when it is too large, 400 for a length that is no number.
    """
    length = request.headers.get("content-length")
    if length is None:
        return settings.max_bytes
    if not length.isdecimal():
        raise Refusal(400, "malformed", "Content-Length is no number", close=True)
    size = int(length[:20])
    if size > settings.max_bytes:
        raise too_large(settings)
    return size


def too_large(settings: Settings) -> Refusal:
    """The refusal of a body that is too long."""
    reason = f"a request holds at most {settings.max_bytes:,} bytes"
    return Refusal(413, "too-many-bytes", reason, close=True)


async def read(request: Request, settings: Settings) -> Asked:
    """Receive and parse the body.

    Raises:
        Refusal: 400 for what cannot be parsed, 413, 415, or 422 for options and numbers of images.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _form(request, settings)
    if kind == "application/json":
        chunks = [chunk async for chunk in _counted(request, settings)]
        return _json(b"".join(chunks), settings)
    raise Refusal(415, "content-type", "send multipart/form-data or application/json", close=True)


async def _counted(request: Request, settings: Settings) -> AsyncGenerator[bytes, None]:
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > settings.max_bytes:
            raise too_large(settings)
        yield chunk


async def _form(request: Request, settings: Settings) -> Asked:
    parser = _InMemory(
        request.headers,
        _counted(request, settings),
        max_files=settings.max_images,
        max_fields=MOST_FIELDS,
        max_part_size=FIELD_BYTES,
    )
    try:
        parts = (await parser.parse()).multi_items()
    except MultiPartException as error:
        if "Too many files" in error.message:
            raise _too_many(settings) from None
        raise Refusal(400, "malformed", f"the form cannot be parsed: {error.message}", close=True) from None
    values: dict[str, Any] = {}
    names: list[str] = []
    images: list[bytes | Fault] = []
    for name, part in parts:
        if isinstance(part, UploadFile):
            if name not in FILES:
                raise Refusal(422, "options", f"a file in the field {name[:100]!r}; images come in 'image'")
            names.append(_printable(part.filename or f"image-{len(names)}"))
            images.append(part.file.read())
            part.file.close()
        elif name == "labels":
            values.setdefault("labels", []).append(part)
        elif name in values:
            raise Refusal(422, "options", f"{name[:100]!r} is given twice")
        else:
            values[name] = part
    if not images:
        raise Refusal(422, "no-images", "there is no file in the field 'image'")
    try:
        return Asked(Options.model_validate(values), names, images)
    except ValidationError as error:
        raise _misused(error) from None


def _json(body: bytes, settings: Settings) -> Asked:
    try:
        asked = TagIn.model_validate_json(body)
    except ValidationError as error:
        if any(one["type"] == "json_invalid" for one in error.errors(include_url=False, include_input=False)):
            raise Refusal(400, "malformed", f"no JSON: {error.errors(include_input=False)[0]['msg']}") from None
        raise _misused(error) from None
    if len(asked.images) > settings.max_images:
        raise _too_many(settings)
    names = [_printable(one.name or f"image-{place}") for place, one in enumerate(asked.images)]
    return Asked(asked, names, [_bytes_of(one.data) for one in asked.images])


def _bytes_of(text: str) -> bytes | Fault:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return Fault("not-base64", "its data is no base64 of a file's bytes")


def _too_many(settings: Settings) -> Refusal:
    return Refusal(422, "too-many-images", f"a request holds at most {settings.max_images} images", close=True)


def _misused(error: ValidationError) -> Refusal:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part)[:100] for part in first["loc"])
    return Refusal(422, "options", f"{where}: {first['msg']}")


def _printable(name: str) -> str:
    return name[:1000].encode("utf-8", "replace").decode("utf-8")
