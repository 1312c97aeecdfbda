"""Who is answered: one browser of this machine, by the page's own address, with the key of this run."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

HEADER = "x-piaa"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


def cookie_name(key: str) -> str:
    """A name of its own for each run: browsers send cookies to every port of an address."""
    return f"piaa-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


class Guard:
    """Refuses foreign hosts, browsers without the key, and what other sites ask for; adds headers to all answers.

    Args:
        app: what is guarded.
        key: the page's address carries it once, then a cookie does.
        host: the only `Host` that is answered, with its port, so that no foreign site can point its own name here
            (DNS rebinding).
        once: another key that opens the page a single time, for the command line of the browser, which other users of
            the machine can read; empty for none.
    """

    def __init__(self, app: ASGIApp, key: str, host: str, once: str = "") -> None:
        self._app, self._key, self._host, self._once = app, key, host, once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        refusal = self._refusal(request)

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await (refusal or self._app)(scope, receive, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        if request.headers.get("host", "") != self._host:
            return PlainTextResponse(f"this page is known as http://{self._host} alone", 421)
        given = request.query_params.get("key", "") if request.url.path == "/" else ""
        if self._is_key(given) or self._is_once(given):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(cookie_name(self._key), self._key, httponly=True, samesite="strict", path="/")
            return answer
        if not self._is_key(request.cookies.get(cookie_name(self._key), "")):
            return PlainTextResponse("open the address that 'piaa app' printed; it carries the key of this run", 403)
        return None if self._is_own(request) else PlainTextResponse("only the page itself is answered", 403)

    def _is_key(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "surrogatepass"), self._key.encode())

    def _is_once(self, given: str) -> bool:
        if not self._once or not secrets.compare_digest(given.encode("utf-8", "surrogatepass"), self._once.encode()):
            return False
        self._once = ""
        return True

    def _is_own(self, request: Request) -> bool:
        """Whether the page asks, not another site in the same browser (another port is one)."""
        headers = request.headers
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return False
        if request.method == "GET":
            return True
        return HEADER in headers and headers.get("origin", f"http://{self._host}") == f"http://{self._host}"
