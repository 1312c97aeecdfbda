"""A stand-in for the hub's HTTP interface on 127.0.0.1: repositories in memory, uploads with Git LFS, downloads with
ETags; it notes every request."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "token-of-alice"


@dataclass
class Repository:
    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        whole = {**self.files("main"), **files}
        name = hashlib.sha1(
            repr(sorted((k, hashlib.sha1(v).hexdigest()) for k, v in whole.items())).encode()
        ).hexdigest()
        self.commits[name] = whole
        return name

    def newest(self, revision: str) -> str | None:
        if revision == "main":
            return list(self.commits)[-1] if self.commits else None
        return revision if revision in self.commits else None

    def files(self, revision: str) -> dict[str, bytes]:
        return self.commits.get(self.newest(revision) or "", {})


class StandIn(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.broken = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self, method: str, ending: str) -> int:
        return sum(each == method and path.endswith(ending) for each, path in self.requests)


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, path))
        if self.server.broken:
            self.say(self.server.broken, {})
        elif path == "/api/repos/create":
            self.create(json.loads(body))
        elif path == "/api/validate-yaml":
            self.say(200, {"errors": [], "warnings": []})
        elif path.startswith("/lfs/"):
            self.server.stored[path[5:]] = body
            self.say(200 if hashlib.sha256(body).hexdigest() == path[5:] else 400, {})
        elif path.endswith(".git/info/lfs/objects/batch"):
            self.batch(json.loads(body))
        else:
            self.in_repository(path, path.strip("/").split("/"), body)

    def in_repository(self, path: str, parts: list[str], body: bytes) -> None:
        api = path.startswith("/api/models/")
        name = "/".join(parts[2:4] if api else parts[:2])
        repository = self.server.repositories.get(name)
        if repository is None or (repository.private and not self.is_alice()):
            self.say(401, {}, {"X-Error-Code": "RepoNotFound"})
        elif repository.gated:
            self.say(403, {}, {"X-Error-Code": "GatedRepo"})
        elif api:
            self.api(name, repository, parts[4:], body)
        else:
            self.resolve(repository, parts[3], "/".join(parts[4:]))

    def is_alice(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def create(self, wanted: dict[str, Any]) -> None:
        if "Authorization" not in self.headers:
            return self.say(401, {})
        if not self.is_alice() or wanted["organization"] != "alice":
            return self.say(403, {"error": "no right to write there"})
        name = f"{wanted['organization']}/{wanted['name']}"
        there = name in self.server.repositories
        private = wanted.get("private") or wanted.get("visibility") == "private"
        self.server.repositories.setdefault(name, Repository(bool(private)))
        self.say(409 if there else 200, {"url": f"{self.server.address}/{name}"})

    def batch(self, wanted: dict[str, Any]) -> None:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.server.address}/lfs/{each['oid']}"}}}
            for each in wanted["objects"]
        ]
        self.say(200, {"transfer": "basic", "objects": objects})

    def api(self, name: str, repository: Repository, parts: list[str], body: bytes) -> None:
        if parts[:1] == ["preupload"]:
            modes = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(body)["files"]
            ]
            return self.say(200, {"files": modes})
        if parts[:1] == ["commit"]:
            files = {}
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "lfsFile":
                    files[line["value"]["path"]] = self.server.stored[line["value"]["oid"]]
            commit = repository.commit(files)
            return self.say(200, {"commitUrl": f"{self.server.address}/{name}/commit/{commit}", "commitOid": commit})
        revision = parts[1] if parts[:1] == ["revision"] else "main"
        commit = repository.newest(revision)
        if commit is None:
            return self.say(404, {}, {"X-Error-Code": "RevisionNotFound"})
        siblings = [{"rfilename": each} for each in repository.files(revision)]
        self.say(200, {"id": name, "modelId": name, "sha": commit, "private": False, "siblings": siblings, "tags": []})

    def resolve(self, repository: Repository, revision: str, file: str) -> None:
        commit = repository.newest(revision)
        if commit is None:
            return self.say(404, {}, {"X-Error-Code": "RevisionNotFound"})
        content = repository.files(revision).get(file)
        about = {"X-Repo-Commit": commit}
        if content is None:
            return self.say(404, {}, {**about, "X-Error-Code": "EntryNotFound"})
        self.say(200, content, {**about, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'})

    def say(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serving() -> Iterator[StandIn]:
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
