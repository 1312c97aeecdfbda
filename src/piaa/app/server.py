"""The page's HTTP: thin routes over `Session`, behind `Guard`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from piaa.app import leaving
from piaa.app.guard import Guard
from piaa.app.inquiry import COUNTS
from piaa.app.pictures import LARGE, THUMBNAIL, heat, small
from piaa.app.session import Session
from piaa.app.view import View
from piaa.errors import InputError, PiaaError

MOST_BYTES = 128 * 2**20
"""Of one dropped picture."""
MOST_JSON = 4 * 2**20
MOST_PICTURES = 20_000
SECONDS = 30
"""In which the words of one request must have come."""
FILES = {
    "api.js": "text/javascript",
    "app.js": "text/javascript",
    "folders.js": "text/javascript",
    "gallery.js": "text/javascript",
    "picture.js": "text/javascript",
    "questions.js": "text/javascript",
    "app.css": "text/css",
    "icon.svg": "image/svg+xml",
}


def make_app(session: Session, key: str, host: str, once: str = "") -> Starlette:
    """The application.

    Args:
        session: what the page works on.
        key: without it nothing is answered.
        host: address and port at which the page is asked for, `127.0.0.1:8000`.
        once: see `Guard`.
    """
    routes = [Route("/", _index), Route("/static/{name}", _static)]
    routes += [Route(f"/api/{name}", _json_route(work), methods=["POST"]) for name, work in _POSTS.items()]
    routes += [
        Route("/api/state", _state),
        Route("/api/page", _page),
        Route("/api/image/{run:int}/{image:int}", _image),
        Route("/api/upload", _upload, methods=["POST"]),
        Route("/thumbnail/{run:int}/{image:int}", _thumbnail),
        Route("/picture/{run:int}/{image:int}", _picture),
        Route("/heat/{run:int}/{image:int}/{class_index:int}", _heat),
        Route("/export/{name}", _export),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Guard, key=key, host=host, once=once)])
    app.add_exception_handler(PiaaError, _refused)
    app.state.session = session
    return app


def _refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


def _session(request: Request) -> Session:
    session: Session = request.app.state.session
    return session


async def _index(request: Request) -> Response:
    return Response(_resource("index.html"), media_type="text/html")


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in FILES:
        return PlainTextResponse("no such file", 404)
    content = _resource(name)
    if name == "app.css":  # the report's look, then what the page needs beside it
        content = (resources.files("piaa.report") / "report.css").read_text(encoding="utf-8") + content
    return Response(content, media_type=FILES[name], headers={"Cache-Control": "no-cache"})


def _resource(name: str) -> str:
    return (resources.files("piaa.app") / "static" / name).read_text(encoding="utf-8")


async def _state(request: Request) -> Response:
    session = _session(request)
    return JSONResponse({**await run_in_threadpool(session.state), "downloads": leaving.DOWNLOADS})


async def _page(request: Request) -> Response:
    query = request.query_params
    chosen = _number(query.get("class")) if query.get("class") else None
    arguments = (chosen, query.get("sort", "doubt"), _number(query.get("page", "0")), query.get("which", "all"))
    return JSONResponse(await run_in_threadpool(lambda: _session(request).view().page(*arguments)))


async def _image(request: Request) -> Response:
    return JSONResponse(await run_in_threadpool(lambda: _meant(request).image(request.path_params["image"])))


def _meant(request: Request) -> View:
    """The view that the address speaks of: numbers of images mean something in their run alone."""
    return _session(request).view(request.path_params["run"])


async def _upload(request: Request) -> Response:
    session = _session(request)
    if len(session.items) >= MOST_PICTURES:
        raise InputError(f"{MOST_PICTURES:,} pictures are as many as can be dropped; choose their folder instead")
    content = await _body(request, MOST_BYTES)
    if content is None:
        return JSONResponse({"error": f"larger than {MOST_BYTES // 2**20} MB"}, 413)
    await run_in_threadpool(session.add_upload, request.query_params.get("name", ""), content)
    return JSONResponse({"pictures": len(session.items)})


async def _body(request: Request, most: int) -> bytes | None:
    """The body of a request, None where it is longer than `most` bytes."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > most:
            return None
    return bytes(content)


async def _thumbnail(request: Request) -> Response:
    return await _drawn(request, "small", lambda view, image: small(view.result.items[image], THUMBNAIL))


async def _picture(request: Request) -> Response:
    return await _drawn(request, "large", lambda view, image: small(view.result.items[image], LARGE))


async def _heat(request: Request) -> Response:
    c = request.path_params["class_index"]
    recognizer = _session(request).recognizer

    def draw(view: View, image: int) -> bytes:
        view.check(class_index=c)
        assert recognizer is not None
        return heat(view.result.items[image], recognizer.scorer(), c, LARGE)

    return await _drawn(request, f"heat-{c}", draw)


async def _drawn(request: Request, kind: str, make: Callable[[View, int], bytes]) -> Response:
    image = request.path_params["image"]

    def drawn() -> bytes:
        view = _meant(request)
        view.check(image)
        return _session(request).pictures.get((view.result.run, kind, image), lambda: make(view, image))

    content = await run_in_threadpool(drawn)
    return Response(content, media_type="image/webp", headers={"Cache-Control": "private, max-age=600"})


async def _export(request: Request) -> Response:
    name, content = await run_in_threadpool(leaving.download, _session(request), request.path_params["name"])
    disposition = f"attachment; filename*=UTF-8''{quote(name)}"
    return Response(content, media_type="application/octet-stream", headers={"Content-Disposition": disposition})


def _json_route(work: Callable[[Session, dict[str, Any]], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def route(request: Request) -> Response:
        try:
            async with asyncio.timeout(SECONDS):
                body = json.loads(await _body(request, MOST_JSON) or b"")
        except (ValueError, RecursionError, TimeoutError):
            body = None
        if not isinstance(body, dict):
            return JSONResponse({"error": "not a JSON object, or too long a one"}, 400)
        try:
            result = await run_in_threadpool(work, _session(request), body)
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"something is missing or of the wrong kind: {error}"}, 400)
        return JSONResponse(result if result is not None else {})

    return route


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{value!r} is no number") from error


def _optional(value: Any) -> int | None:
    return None if value is None else _number(value)


def _yes_or_no(value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{value!r} is neither yes nor no")
    return value


def _written_beside(session: Session) -> dict[str, Any]:
    result = leaving.beside(session)
    return {"written": result.written, "failed": [f"{path}: {reason}" for path, reason in result.failed[:20]]}


_POSTS: dict[str, Callable[[Session, dict[str, Any]], Any]] = {
    "folders": lambda session, body: session.root.listing(str(body.get("path", ""))),
    "folder": lambda session, body: session.use_folder(str(body["path"])),
    "examples": lambda session, body: session.use_examples(),
    "clear": lambda session, body: session.clear(),
    "run": lambda session, body: session.start(str(body.get("words", ""))),
    "stop": lambda session, body: session.work.stop(),
    "threshold": lambda session, body: session.set_threshold(
        _number(body["run"]), _number(body["class"]), float(body["value"])
    ),
    "correct": lambda session, body: session.correct(
        _number(body["run"]), _number(body["image"]), _number(body["class"]), _yes_or_no(body["value"])
    ),
    "check": lambda session, body: session.check(
        _number(body["run"]), _number(body["image"]), bool(_yes_or_no(body["value"]))
    ),
    "ask": lambda session, body: {
        "questions": session.ask(
            _number(body["run"]), _optional(body.get("class")), _number(body.get("count", COUNTS[0]))
        )
    },
    "answer": lambda session, body: session.answer(
        _number(body["run"]), _number(body["number"]), _yes_or_no(body["value"])
    ),
    "move": lambda session, body: session.move(_number(body["run"])),
    "sidecars": lambda session, body: _written_beside(session),
}
