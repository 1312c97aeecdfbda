"""The page's HTTP: thin routes over `Session`. Only a browser that has the key of this run is answered."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from piaa.app import leaving
from piaa.app.pictures import LARGE, THUMBNAIL, heat, small
from piaa.app.session import Session
from piaa.errors import InputError, PiaaError

MOST_BYTES = 128 * 2**20
"""Of one dropped picture."""
MOST_PICTURES = 20_000
COOKIE, HEADER = "piaa-key", "x-piaa"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FILES = {
    "api.js": "text/javascript",
    "app.js": "text/javascript",
    "gallery.js": "text/javascript",
    "questions.js": "text/javascript",
    "app.css": "text/css",
    "icon.svg": "image/svg+xml",
}


def make_app(session: Session, key: str, hosts: set[str]) -> Starlette:
    """The application.

    Args:
        session: what the page works on.
        key: without it nothing is answered; the page's address carries it once, then a cookie does.
        hosts: names under which the page may be asked for, without the port; others are refused, so that no foreign
            site can point its own name here (DNS rebinding).
    """
    routes = [Route("/", _index), Route("/static/{name}", _static)]
    routes += [Route(f"/api/{name}", _json_route(work), methods=["POST"]) for name, work in _POSTS.items()]
    routes += [
        Route("/api/state", _state),
        Route("/api/page", _page),
        Route("/api/image/{image:int}", _image),
        Route("/api/upload", _upload, methods=["POST"]),
        Route("/thumbnail/{image:int}", _thumbnail),
        Route("/picture/{image:int}", _picture),
        Route("/heat/{image:int}/{class_index:int}", _heat),
        Route("/export/{name}", _export),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(_Guard, key=key, hosts=hosts)])
    app.add_exception_handler(PiaaError, _refused)
    app.state.session = session
    return app


class _Guard:
    """Refuses foreign hosts, browsers without the key, and changes asked for by other sites; adds headers."""

    def __init__(self, app: ASGIApp, key: str, hosts: set[str]) -> None:
        self._app, self._key, self._hosts = app, key, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        answer = self._refusal(request)
        if answer is not None:
            await answer(scope, receive, send)
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", POLICY.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                    (b"cross-origin-resource-policy", b"same-origin"),
                ]
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "").rsplit(":", 1)[0]
        if self._hosts and host not in self._hosts:
            return PlainTextResponse("this page is not known under that name", 421)
        given = request.query_params.get("key", "") if request.url.path == "/" else ""
        if given and secrets.compare_digest(given.encode(), self._key.encode()):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(COOKIE, self._key, httponly=True, samesite="strict", path="/")
            return answer
        if not secrets.compare_digest(request.cookies.get(COOKIE, "").encode(), self._key.encode()):
            return PlainTextResponse("open the address that 'piaa app' printed; it carries the key of this run", 403)
        if request.method == "POST" and HEADER not in request.headers:
            return PlainTextResponse("only the page itself may change anything", 403)
        return None


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
    return Response(content, media_type=FILES[name])


def _resource(name: str) -> str:
    return (resources.files("piaa.app") / "static" / name).read_text(encoding="utf-8")


async def _state(request: Request) -> Response:
    session = _session(request)
    return JSONResponse({**await run_in_threadpool(session.state), "downloads": leaving.DOWNLOADS})


async def _page(request: Request) -> Response:
    query = request.query_params
    chosen = _number(query.get("class")) if query.get("class") else None
    arguments = (chosen, query.get("sort", "doubt"), _number(query.get("page", "0")), query.get("which", "all"))
    return JSONResponse(await run_in_threadpool(_session(request).page, *arguments))


async def _image(request: Request) -> Response:
    return JSONResponse(await run_in_threadpool(_session(request).image, request.path_params["image"]))


async def _upload(request: Request) -> Response:
    session = _session(request)
    if len(session.items) >= MOST_PICTURES:
        raise InputError(f"{MOST_PICTURES:,} pictures are as many as can be dropped; choose their folder instead")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_BYTES:
            return JSONResponse({"error": f"larger than {MOST_BYTES // 2**20} MB"}, 413)
    await run_in_threadpool(session.add_upload, request.query_params.get("name", ""), bytes(content))
    return JSONResponse({"pictures": len(session.items)})


async def _thumbnail(request: Request) -> Response:
    return await _drawn(request, "small", lambda session, image: small(session.item(image), THUMBNAIL))


async def _picture(request: Request) -> Response:
    return await _drawn(request, "large", lambda session, image: small(session.item(image), LARGE))


async def _heat(request: Request) -> Response:
    c = request.path_params["class_index"]

    def draw(session: Session, image: int) -> bytes:
        if session.recognizer is None or c >= len(session.tagged().classes):
            raise InputError(f"there is no class {c}")
        return heat(session.item(image), session.recognizer.scorer(), c, LARGE)

    return await _drawn(request, f"heat-{c}", draw)


async def _drawn(request: Request, kind: str, make: Callable[[Session, int], bytes]) -> Response:
    session, image = _session(request), request.path_params["image"]
    key = (id(session.result), kind, image)
    content = await run_in_threadpool(session.pictures.get, key, lambda: make(session, image))
    return Response(content, media_type="image/webp", headers={"Cache-Control": "private, max-age=600"})


async def _export(request: Request) -> Response:
    name, content = await run_in_threadpool(leaving.download, _session(request), request.path_params["name"])
    disposition = f"attachment; filename*=UTF-8''{quote(name)}"
    return Response(content, media_type="application/octet-stream", headers={"Content-Disposition": disposition})


def _json_route(work: Callable[[Session, dict[str, Any]], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def route(request: Request) -> Response:
        try:
            async with asyncio.timeout(30):
                body = await request.json()
        except (ValueError, RecursionError, TimeoutError):
            body = None
        if not isinstance(body, dict):
            return JSONResponse({"error": "not a JSON object"}, 400)
        try:
            result = await run_in_threadpool(work, _session(request), body)
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"something is missing or of the wrong kind: {error}"}, 400)
        return JSONResponse(result if result is not None else {})

    return route


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
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
    "folder": lambda session, body: session.use_folder(str(body["path"])),
    "examples": lambda session, body: session.use_examples(),
    "clear": lambda session, body: session.clear(),
    "run": lambda session, body: session.start(str(body.get("words", ""))),
    "threshold": lambda session, body: session.set_threshold(_number(body["class"]), float(body["value"])),
    "correct": lambda session, body: session.correct(
        _number(body["image"]), _number(body["class"]), _yes_or_no(body["value"])
    ),
    "ask": lambda session, body: {"questions": session.ask(_optional(body.get("class")))},
    "answer": lambda session, body: session.answer(_number(body["number"]), _yes_or_no(body["value"])),
    "estimate": lambda session, body: session.estimate(),
    "move": lambda session, body: {"threshold": session.move()},
    "sidecars": lambda session, body: _written_beside(session),
}
