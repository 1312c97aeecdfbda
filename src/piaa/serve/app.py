"""The routes. `build_app` puts a shelf of classifiers and a batcher behind them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from piaa.serve import schema
from piaa.serve.answers import answer, chosen_columns
from piaa.serve.batcher import Batcher, Outcome
from piaa.serve.metrics import Metrics
from piaa.serve.reading import Asked, declared_size, read
from piaa.serve.refusals import Fault, Refusal
from piaa.serve.reload import Loaded, Shelf
from piaa.serve.settings import Settings
from piaa.version import __version__

logger = logging.getLogger("piaa.serve")
BEARER = HTTPBearer(auto_error=False, description="Only where the service was started with a key.")
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": schema.RefusalOut, "description": "The body cannot be parsed."},
    401: {"model": schema.RefusalOut, "description": "The API key is missing or wrong."},
    408: {"model": schema.RefusalOut, "description": "The body did not arrive in time."},
    413: {"model": schema.RefusalOut, "description": "Too many bytes."},
    415: {"model": schema.RefusalOut, "description": "Neither a form nor JSON."},
    422: {
        "model": schema.TagOut | schema.RefusalOut,
        "description": "Options that do not exist, too many images, or not one image that can be used.",
    },
    429: {"model": schema.RefusalOut, "description": "Busy; Retry-After says when to come again."},
    500: {"model": schema.TagOut | schema.RefusalOut, "description": "A fault of the service; its log says more."},
    503: {"model": schema.RefusalOut, "description": "Not done in time; Retry-After says when to come again."},
}
UNAUTHORISED: dict[int | str, dict[str, Any]] = {401: REFUSALS[401]}


@dataclass
class Service:
    """All that the routes need.

    Attributes:
        settings: the limits.
        shelf: the classifiers.
        metrics: the counters.
        batcher: the queue and the model's thread.
        draining: whether the process was told to end.
    """

    settings: Settings
    shelf: Shelf
    metrics: Metrics = field(default_factory=Metrics)
    draining: bool = False

    def __post_init__(self) -> None:
        self.batcher = Batcher(self.settings, self.metrics)

    def check_key(self, given: str | None) -> None:
        """Compare in a time that tells nothing of the key.

        Raises:
            Refusal: 401.
        """
        if self.settings.api_key is None:
            return
        wanted, sent = (hashlib.sha256(text.encode()).digest() for text in (self.settings.api_key, given or ""))
        if not hmac.compare_digest(wanted, sent):
            raise Refusal(401, "key", "send the API key as 'Authorization: Bearer KEY'", close=True)

    def loaded(self, name: str | None) -> Loaded:
        """A classifier by name.

        Raises:
            Refusal: 422 for a name that is none, or none where there are several.
        """
        try:
            return self.shelf.get(name)
        except KeyError:
            known = ", ".join(self.shelf.names)
            raise Refusal(422, "unknown-classifier", f"name one of the classifiers: {known}") from None

    async def tag(self, request: Request) -> Response:
        """One tag request, within its time.

        Raises:
            Refusal: for a request that gets no answer of its own.
        """
        begin, deadline = time.perf_counter(), self.settings.timeout
        with self.batcher.body(declared_size(request, self.settings)):
            try:
                async with asyncio.timeout(deadline):
                    asked = await read(request, self.settings)
            except TimeoutError:
                raise Refusal(408, "too-slow", f"the body did not arrive within {deadline:g} s", close=True) from None
            except ClientDisconnect:
                raise Refusal(400, "malformed", "the client went away", close=True) from None
            try:
                async with asyncio.timeout(max(0.0, begin + deadline - time.perf_counter())):
                    return await self._tagged(asked)
            except TimeoutError:
                raise Refusal(503, "timeout", f"not done within {deadline:g} s", retry_after=5) from None
            finally:
                self.metrics.seconds.observe(time.perf_counter() - begin)

    async def _tagged(self, asked: Asked) -> Response:
        loaded = self.loaded(asked.options.classifier)
        columns = chosen_columns(loaded, asked.options)
        whole = [image for image in asked.images if isinstance(image, bytes)]
        with self.batcher.place(len(whole)):
            maps = asked.options.heat_maps != "none"
            scored = iter(await self.batcher.score(loaded, whole, maps))
            outcomes: list[Outcome] = [one if isinstance(one, Fault) else next(scored) for one in asked.images]

            def compose() -> list[dict[str, Any]]:
                named = zip(asked.names, outcomes, strict=True)
                return [answer(loaded, asked.options, columns, name, outcome) for name, outcome in named]

            loop = asyncio.get_running_loop()
            images = await loop.run_in_executor(self.batcher.threads, compose) if maps else compose()
        for image in images:
            outcome = image["error"]["code"] if image["error"] else "foreign" if image["foreign"] else "tagged"
            self.metrics.images.labels(loaded.name, outcome).inc()
        return respond(_status(images), {"classifier": _named(loaded), "images": images})


def _status(images: list[dict[str, Any]]) -> int:
    """200 where one image has an answer; else whose fault it was, the client's or the service's."""
    codes = [image["error"]["code"] if image["error"] else None for image in images]
    if None in codes:
        return 200
    return 500 if "failed" in codes else 422


def _named(loaded: Loaded) -> dict[str, Any]:
    return {"name": loaded.name, "fingerprint": loaded.scorer.fingerprint}


def respond(status: int, value: Any, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer; text that is no UTF-8 cannot stop it."""
    body = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    return Response(body, status, headers, "application/json")


def refuse(refusal: Refusal) -> Response:
    """The answer to a refused request."""
    headers = {}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if refusal.close:
        headers["Connection"] = "close"
    return respond(refusal.status, {"error": {"code": refusal.code, "reason": refusal.reason}}, headers)


def build_app(service: Service) -> FastAPI:
    """The ASGI application. Its end closes the batcher and the watcher."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.shelf.start()
        yield
        service.draining = True
        service.shelf.stop()
        service.batcher.close()

    app = FastAPIOffline(
        redoc_url=None,
        title="piaa",
        version=__version__,
        description="Multi-label image recognition without training and without labels.",
        lifespan=lifespan,
    )
    _add_errors(app, service)
    _add_tag(app, service)
    _add_lookups(app, service)
    app.add_middleware(_Counting, service=service)
    return app


async def _key(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> str | None:
    return credentials.credentials if credentials else None


Key = Annotated[str | None, Depends(_key)]


def _add_errors(app: FastAPI, service: Service) -> None:
    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        service.metrics.refused.labels(error.code).inc()
        return refuse(error)

    async def plain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = refuse(Refusal(error.status_code, "http", str(error.detail)))
        response.headers.update(error.headers or {})
        return response

    async def defect(request: Request, error: Exception) -> Response:
        return refuse(Refusal(500, "failed", "a fault of the service; its log says more", close=True))

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(Exception, defect)


def _add_tag(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/tag",
        response_model=schema.TagOut,
        responses=REFUSALS,
        openapi_extra={"requestBody": schema.request_body()},
    )
    async def tag(request: Request, key: Key) -> Response:
        """Give images their labels."""
        service.check_key(key)
        return await service.tag(request)


def _add_lookups(app: FastAPI, service: Service) -> None:
    @app.get("/health", response_model=schema.HealthOut)
    async def health() -> Response:
        """The process lives."""
        return respond(200, {"status": "ok", "version": __version__})

    @app.get("/ready", response_model=schema.ReadyOut, responses={503: {"model": schema.ReadyOut}})
    async def ready() -> Response:
        """Whether requests are taken, and by which classifiers; no longer after SIGTERM."""
        classifiers = [
            _named(held.loaded)
            | {
                "labels": len(held.loaded.positions),
                "loaded_at": held.loaded.loaded_at,
                "reload_error": held.error,
            }
            for held in service.shelf.held.values()
        ]
        status = 503 if service.draining else 200
        return respond(status, {"ready": not service.draining, "classifiers": classifiers})

    @app.get("/labels", response_model=schema.LabelsOut, responses={**UNAUTHORISED, 422: {"model": schema.RefusalOut}})
    async def labels(key: Key, classifier: Annotated[str | None, Query()] = None) -> Response:
        """The classes of a classifier."""
        service.check_key(key)
        loaded = service.loaded(classifier)
        found = {"labels": list(loaded.positions), "thresholds": list(loaded.sets)}
        return respond(200, _named(loaded) | found)

    @app.get(
        "/metrics",
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **UNAUTHORISED},
        response_class=Response,
    )
    async def metrics(key: Key) -> Response:
        """Counters in the text form of Prometheus."""
        service.check_key(key)
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)


class _Counting:
    """Counts answers and adds the header that keeps browsers from guessing at types."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                path = scope["path"] if scope["path"] in KNOWN else "other"
                self.service.metrics.requests.labels(path, message["status"]).inc()
                message["headers"] = [*message.get("headers", []), (b"x-content-type-options", b"nosniff")]
            await send(message)

        await self.app(scope, receive, counted)


KNOWN = frozenset({"/v1/tag", "/health", "/ready", "/labels", "/metrics", "/docs", "/openapi.json"})
