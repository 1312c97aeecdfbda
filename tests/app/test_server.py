"""The page's server answers one browser alone, refuses nonsense in plain words, and opens nothing it should not."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from app_server import running
from PIL import Image

from piaa.exchange import read_tags
from piaa.exchange.sidecars import keywords_in
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder

KEY = {"Cookie": "piaa-key=the key"}
MINE = {**KEY, "x-piaa": "1"}


def ask(address: str, path: str, body: Any = None, headers: dict[str, str] = MINE) -> tuple[int, bytes, Any]:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(address.split("/?", maxsplit=1)[0] + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def error(address: str, path: str, body: Any) -> str:
    status, content, _ = ask(address, path, body)
    assert status == 400
    return json.loads(content)["error"]


def test_only_the_browser_with_the_key_is_answered(tmp_path: Path) -> None:
    with running(tmp_path) as (_, address):
        assert ask(address, "/", headers={})[0] == 403
        assert ask(address, "/?key=other", headers={})[0] == 403
        assert ask(address, "/api/state", headers={"Cookie": "piaa-key=ä"})[0] == 403
        assert ask(address, "/api/examples", {}, headers=KEY)[0] == 403  # another site's form has no such header
        assert ask(address, "/", headers={**KEY, "Host": "evil.example:80"})[0] == 421
        status, content, headers = ask(address, "/")
        assert (
            status == 200 and b"<script type" in content and "script-src 'self'" in headers["Content-Security-Policy"]
        )
        assert ask(address, "/static/..%2fserver.py")[0] == 404 and ask(address, "/static/server.py")[0] == 404


def test_nonsense_is_refused_in_plain_words(tmp_path: Path) -> None:
    with running(tmp_path) as (session, address):
        assert "no picture yet" in error(address, "/api/run", {"words": "a"})
        assert "no such folder" in error(address, "/api/folder", {"path": "/nowhere"})
        assert "missing" in error(address, "/api/folder", {})
        assert "JSON" in error(address, "/api/folder", b"[1]")
        assert "nothing is tagged" in error(address, "/api/correct", {"image": 0, "class": 0, "value": True})
        assert "not a picture" in error(address, "/api/upload?name=x.exe", b"MZ")
        for name in ("../../up.jpg", "a\\b\\up.jpg", ".up.jpg", "%00up\n.jpg"):
            assert ask(address, f"/api/upload?name={urllib.request.quote(name)}", b"x")[0] == 200
        assert {path.parent for path in tmp_path.rglob("*up*.jpg")} == {tmp_path / "dropped"}
        assert len(session.items) == 4
        assert "label" in error(address, "/api/run", {"words": "cat\ncat"})
        assert ask(address, "/api/run", {"words": "cat"})[0] == 200
        assert "none of the 4 pictures can be read" in finished(address)["work"]["error"]


def finished(address: str) -> dict[str, Any]:
    for _ in range(600):
        state = json.loads(ask(address, "/api/state")[1])
        if not state["work"]["running"]:
            return state
        time.sleep(0.1)
    raise AssertionError("it did not finish")


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("photos")
    write_scene_folder(folder, 5, "unlabelled", 24)
    with running(tmp_path_factory.mktemp("own")) as (session, address):
        assert ask(address, "/api/folder", {"path": str(folder)})[0] == 200
        assert ask(address, "/api/run", {"words": "\n".join(object_names())})[0] == 200
        assert finished(address)["work"]["error"] == ""
        yield session, address, folder


def test_pages_pictures_and_heat_maps(tagged: Any) -> None:
    session, address, _ = tagged
    page = json.loads(ask(address, "/api/page?sort=doubt&page=7")[1])
    assert (page["total"], page["pages"], page["page"]) == (24, 1, 0)
    doubts = [abs(session.tagged().scores[each["image"]] - 0.5).min() for each in page["images"]]
    assert doubts == sorted(doubts)
    for path, longest in (("/thumbnail/3", 224), ("/picture/3", 900), ("/heat/3/2", 900)):
        status, content, headers = ask(address, path)
        assert (status, headers["Content-Type"]) == (200, "image/webp")
        assert max(Image.open(io.BytesIO(content)).size) <= longest
    for path in ("/thumbnail/24", "/heat/0/999", "/api/page?sort=x", "/api/page?class=x", "/export/word"):
        assert ask(address, path)[0] == 400
    assert ask(address, "/thumbnail/-1")[0] == 404
    assert "between 0 and 1" in error(address, "/api/threshold", {"class": 0, "value": 1})
    assert "neither yes nor no" in error(address, "/api/correct", {"image": 0, "class": 0, "value": "yes"})


def test_what_is_taken_away_is_what_is_seen(tagged: Any, tmp_path: Path) -> None:
    session, address, folder = tagged
    assert ask(address, "/api/correct", {"image": 1, "class": 4, "value": True})[0] == 200
    table = session.table()
    assert session.tagged().classes[4] in table.rows[1].labels
    for name in ("tags.jsonl", "tags.csv", "tags.parquet"):
        path = tmp_path / name
        path.write_bytes(ask(address, f"/export/{name}")[1])
        assert read_tags(path).rows == table.rows
    assert len(pq.read_table(io.BytesIO(ask(address, "/export/huggingface")[1]))) == 24
    assert len(json.loads(ask(address, "/export/coco")[1])["images"]) == 24
    for name, count in (("label-studio", 2), ("xmp", 24)):
        with zipfile.ZipFile(io.BytesIO(ask(address, f"/export/{name}")[1])) as archive:
            assert len(archive.namelist()) == count
    assert json.loads(ask(address, "/api/sidecars", {})[1]) == {"written": 24, "failed": []}
    beside = {path.name: keywords_in(path.read_bytes()) for path in folder.glob("*.xmp")}
    assert beside == {Path(row.path).name + ".xmp": list(row.labels) for row in table.rows}
    assert ask(address, "/api/correct", {"image": 1, "class": 4, "value": None})[0] == 200
    assert "nobody has corrected" in json.loads(ask(address, "/export/truth")[1])["error"]
