"""Small servers on this machine that answer as an object store and as a hub of data sets do, for what fsspec asks."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789" * 4
DATE = "2026-01-31T12:00:00.000Z"


@contextmanager
def serving(answer: Any, files: dict[str, bytes]) -> Iterator[str]:
    """A server whose requests `answer(handler, path, query, files)` deals with; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def dealt(self) -> None:
            address = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            with contextlib.suppress(ConnectionError):  # a client that has seen enough
                answer(self, address.path, query, files)

        do_GET = do_POST = do_HEAD = dealt

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def google(handler: BaseHTTPRequestHandler, path: str, query: dict[str, str], files: dict[str, bytes]) -> None:
    """What Google's store answers: metadata of an object, its bytes, and a listing of a folder page by page.

    `files` are `bucket/name`; the pages have two entries, so that a listing takes several.
    """
    parts = unquote(path).removeprefix("/download").removeprefix("/storage/v1/b/").split("/", 2)
    bucket, name = parts[0], parts[2] if len(parts) > 2 else ""
    if name:
        data = files.get(f"{bucket}/{name}")
        if data is None:
            _reply(handler, 404, {"error": {"code": 404, "message": f"No such object: {bucket}/{name}"}})
        elif query.get("alt") == "media":
            _send(handler, data)
        else:
            _reply(handler, 200, _object(bucket, name, data))
        return
    if not any(key.startswith(f"{bucket}/") for key in files):
        _reply(handler, 404, {"error": {"code": 404, "message": "The specified bucket does not exist."}})
        return
    prefix, mark = query.get("prefix", ""), query.get("delimiter", "")
    names = sorted(key[len(bucket) + 1 :] for key in files if key.startswith(f"{bucket}/{prefix}"))
    entries: dict[str, dict[str, Any] | None] = {}
    for each in names:
        rest = each[len(prefix) :]
        folder = mark and mark in rest
        entries[prefix + rest.partition(mark)[0] + mark if folder else each] = (
            None if folder else _object(bucket, each, files[f"{bucket}/{each}"])
        )
    size = min(2, int(query.get("maxResults", 2)))
    start = int(query.get("pageToken", 0))
    page = list(entries)[start : start + size]
    more = {"nextPageToken": str(start + size)} if start + size < len(entries) else {}
    items = [entries[key] for key in page if entries[key]]
    _reply(
        handler,
        200,
        {"kind": "storage#objects", "items": items, "prefixes": [key for key in page if not entries[key]], **more},
    )


def hub(handler: BaseHTTPRequestHandler, path: str, query: dict[str, str], files: dict[str, bytes]) -> None:
    """What the hub answers of data sets: the commit, what a folder holds, and the bytes of a file.

    `files` are `ORG/NAME/path`.
    """
    path = unquote(path)
    length = int(handler.headers.get("Content-Length") or 0)
    asked = parse_qs(handler.rfile.read(length).decode()) if length else {}
    if path.startswith("/datasets/"):
        org, name, _, _, file = path.removeprefix("/datasets/").split("/", 4)
        data = files.get(f"{org}/{name}/{file}")
        if data is None:
            _reply(handler, 404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
        else:
            _send(handler, data, {"ETag": f'"{_sum(data)}"', "X-Repo-Commit": COMMIT})
        return
    org, name, *rest = path.removeprefix("/api/datasets/").split("/", 4)
    here = {key[len(org) + len(name) + 2 :]: data for key, data in files.items() if key.startswith(f"{org}/{name}/")}
    if not here:
        _reply(handler, 404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
    elif rest[:1] == ["paths-info"]:
        found = [_entry(place, here) for place in asked.get("paths", [])]
        _reply(handler, 200, [each for each in found if each])
    elif rest[:1] == ["tree"]:
        folder = f"{rest[2]}/" if len(rest) > 2 else ""
        below = {folder + key[len(folder) :].partition("/")[0] for key in here if key.startswith(folder)}
        if below:
            _reply(handler, 200, [_entry(place, here) for place in sorted(below)])
        else:
            _reply(handler, 404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
    else:
        _reply(handler, 200, {"id": f"{org}/{name}", "sha": COMMIT, "lastModified": DATE, "siblings": [], "tags": []})


def _object(bucket: str, name: str, data: bytes) -> dict[str, Any]:
    return {
        "kind": "storage#object",
        "name": name,
        "bucket": bucket,
        "size": str(len(data)),
        "md5Hash": _sum(data),
        "updated": DATE,
        "timeCreated": DATE,
        "contentType": "image/png",
    }


def _entry(place: str, here: dict[str, bytes]) -> dict[str, Any] | None:
    if place in here:
        return {"type": "file", "path": place, "size": len(here[place]), "oid": _sum(here[place])}
    if any(key.startswith(f"{place}/") for key in here):
        return {"type": "directory", "path": place, "oid": "0" * 40, "size": 0}
    return None


def _sum(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def _reply(handler: BaseHTTPRequestHandler, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
    body = json.dumps(value).encode()
    handler.send_response(status)
    for name, text in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
        handler.send_header(name, text)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def _send(handler: BaseHTTPRequestHandler, data: bytes, headers: dict[str, str] | None = None) -> None:
    """The bytes, or the range of them that is asked for."""
    asked, part = handler.headers.get("Range"), data
    handler.send_response(206 if asked else 200)
    if asked:
        first, _, last = asked.removeprefix("bytes=").partition("-")
        end = min(int(last), len(data) - 1) if last else len(data) - 1
        part = data[int(first) : end + 1]
        handler.send_header("Content-Range", f"bytes {first}-{end}/{len(data)}")
    for name, text in {"Content-Length": str(len(part)), **(headers or {})}.items():
        handler.send_header(name, text)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(part)
