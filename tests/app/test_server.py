"""The page's server answers one browser alone, refuses nonsense in plain words, and opens nothing it should not."""

from __future__ import annotations

import io
import json
import re
import time
import urllib.error
import urllib.request
import zipfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from app_server import running
from PIL import Image

pytest.importorskip("starlette", reason="the page needs pip install 'piaa[app]'")
from piaa.app.guard import cookie_name
from piaa.app.leaving import DOWNLOADS, table_of
from piaa.app.server import FILES, MOST_JSON
from piaa.exchange import read_tags
from piaa.exchange.sidecars import keywords_in
from piaa.recognizer import Recognizer
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder

KEY = {"Cookie": f"{cookie_name('the-key')}=the-key"}
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


def test_only_the_page_of_this_run_is_answered(tmp_path: Path) -> None:
    with running(tmp_path, tmp_path) as (_, address):
        assert ask(address, "/", headers={})[0] == 403
        assert ask(address, "/?key=other", headers={})[0] == 403
        assert ask(address, "/api/state", headers={"Cookie": f"{cookie_name('the-key')}=other"})[0] == 403
        for host in ("evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", ""):  # DNS rebinding; the port counts too
            status, _, headers = ask(address, "/", headers={**KEY, "Host": host})
            assert status in (400, 421), host
        host = address.split("/")[2]
        for foreign in (
            {},  # a form of another site has no header of ours
            {"x-piaa": "1", "Origin": "http://127.0.0.1:1"},
            {"x-piaa": "1", "Origin": "null"},
            {"x-piaa": "1", "Sec-Fetch-Site": "same-site"},
        ):
            assert ask(address, "/api/clear", {}, headers=KEY | foreign)[0] == 403
        assert ask(address, "/api/state", headers={**KEY, "Sec-Fetch-Site": "cross-site"})[0] == 403
        assert ask(address, "/api/clear", {}, headers={**MINE, "Origin": f"http://{host}"})[0] == 200
        status, content, headers = ask(address, "/")
        assert status == 200 and b"<script type" in content
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert ask(address, "/static/..%2fserver.py")[0] == 404 and ask(address, "/static/server.py")[0] == 404
        for name in FILES:
            assert ask(address, f"/static/{name}")[0] == 200


def test_a_key_for_once_opens_the_page_once(tmp_path: Path) -> None:
    with running(tmp_path, tmp_path) as (_, address):
        once = address.replace("the-key", "a-key-for-once")
        with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(once) as answer:
            assert answer.status == 200 and "key" not in answer.url
        assert ask(once, "/?key=a-key-for-once", headers={})[0] == 403
        assert ask(once, "/api/state", headers={"Cookie": f"{cookie_name('the-key')}=a-key-for-once"})[0] == 403


def test_nothing_of_the_page_comes_from_elsewhere() -> None:
    own = resources.files("piaa.app") / "static"
    assert {file.name for file in own.iterdir()} == {*FILES, "index.html"}
    for file in own.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"^\s*//.*$|(?<=[;{)]) // .*$", "", text, flags=re.MULTILINE), file.name
        assert "innerHTML" not in text and "insertAdjacentHTML" not in text and "style=" not in text


def test_nonsense_is_refused_in_plain_words(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    with running(own, tmp_path) as (session, address):
        assert "no picture yet" in error(address, "/api/run", {"words": "a"})
        assert "no such folder" in error(address, "/api/folder", {"path": "nowhere"})
        assert "no picture in this folder" in error(address, "/api/folder", {"path": ""})
        assert "missing" in error(address, "/api/folder", {})
        assert "JSON" in error(address, "/api/folder", b"[1]") and "JSON" in error(address, "/api/folder", b"[" * 9999)
        assert "JSON" in error(address, "/api/run", b'{"words": "' + b"a" * MOST_JSON + b'"}')
        assert "nothing is tagged" in error(address, "/api/correct", {"run": 1, "image": 0, "class": 0, "value": True})
        assert "not a picture" in error(address, "/api/upload?name=x.exe", b"MZ")
        for name in ("../../up.jpg", "a\\b\\up.jpg", ".up.jpg", "%00up\n.jpg"):
            assert ask(address, f"/api/upload?name={urllib.request.quote(name)}", b"x")[0] == 200
        assert {path.parent for path in tmp_path.rglob("*up*.jpg")} == {own / "dropped"}
        assert len(session.items) == 4
        assert "duplicate" in error(address, "/api/run", {"words": "cat\ncat"})
        assert "no class names" in error(address, "/api/run", {"words": "\n # cat \n"})
        assert ask(address, "/api/run", {"words": "\ncat\n\n"})[0] == 200
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
    (folder / "notes.txt").write_text("no picture")
    (folder / "broken.png").write_bytes(b"no picture")
    with running(tmp_path_factory.mktemp("own"), folder) as (session, address):
        assert ask(address, "/api/folder", {"path": ""})[0] == 200
        assert ask(address, "/api/run", {"words": "\n".join(object_names())})[0] == 200
        state = finished(address)
        assert state["work"]["error"] == "" and (state["tagged"], state["skipped"], state["failed_count"]) == (24, 1, 1)
        assert state["failed"][0]["name"] == "broken.png"
        yield session, address, folder


def test_pages_pictures_and_heat_maps(tagged: Any) -> None:
    _, address, _ = tagged
    page = json.loads(ask(address, "/api/page?sort=doubt&page=7")[1])
    assert (page["total"], page["pages"], page["page"], page["run"]) == (24, 1, 0, 1)
    for path, longest in (("/thumbnail/1/3", 224), ("/picture/1/3", 900), ("/heat/1/3/2", 900)):
        status, content, headers = ask(address, path)
        assert (status, headers["Content-Type"]) == (200, "image/webp")
        assert max(Image.open(io.BytesIO(content)).size) <= longest
    for path in ("/thumbnail/1/24", "/heat/1/0/999", "/api/page?sort=x", "/api/page?class=x", "/export/word"):
        assert ask(address, path)[0] == 400
    assert ask(address, "/thumbnail/1/-1")[0] == 404
    assert "between 0 and 1" in error(address, "/api/threshold", {"run": 1, "class": 0, "value": 1})
    said = {"run": 1, "image": 0, "class": 0, "value": "yes"}
    assert "neither yes nor no" in error(address, "/api/correct", said)


def test_numbers_of_an_earlier_run_are_refused(tagged: Any) -> None:
    """A page that was left open must not correct other pictures than those it shows."""
    session, address, _ = tagged
    for path, body in (
        ("correct", {"image": 0, "class": 0, "value": True}),
        ("threshold", {"class": 0, "value": 0.4}),
        ("ask", {"class": None}),
    ):
        assert "load this page anew" in error(address, f"/api/{path}", {**body, "run": 2})
    assert ask(address, "/thumbnail/2/0")[0] == 400
    assert not session.corrections


def test_what_is_taken_away_is_what_is_seen(tagged: Any, tmp_path: Path) -> None:
    session, address, folder = tagged
    assert "no picture is checked" in json.loads(ask(address, "/export/truth")[1])["error"]
    assert ask(address, "/api/check", {"run": 1, "image": 0, "value": True})[0] == 200
    assert ask(address, "/api/correct", {"run": 1, "image": 1, "class": 4, "value": True})[0] == 200
    table = table_of(session.view())
    assert session.result.classes[4] in table.rows[1].labels
    for name in ("tags.jsonl", "tags.csv", "tags.parquet"):
        path = tmp_path / name
        path.write_bytes(ask(address, f"/export/{name}")[1])
        assert read_tags(path).rows == table.rows
    assert len(pq.read_table(io.BytesIO(ask(address, "/export/huggingface")[1]))) == 24
    assert len(json.loads(ask(address, "/export/coco")[1])["images"]) == 24
    for name, count in (("label-studio", 2), ("xmp", 24)):
        with zipfile.ZipFile(io.BytesIO(ask(address, f"/export/{name}")[1])) as archive:
            assert len(archive.namelist()) == count
    assert {ask(address, f"/export/{name}")[0] for name in DOWNLOADS} == {200}
    assert json.loads(ask(address, "/api/sidecars", {})[1]) == {"written": 24, "failed": []}
    beside = {path.name: keywords_in(path.read_bytes()) for path in folder.glob("*.xmp")}
    assert beside == {Path(row.path).name + ".xmp": list(row.labels) for row in table.rows}
    assert ask(address, "/api/correct", {"run": 1, "image": 1, "class": 4, "value": None})[0] == 200
    assert ask(address, "/api/check", {"run": 1, "image": 0, "value": False})[0] == 200


def test_the_classifier_has_the_thresholds_of_the_page(tagged: Any, tmp_path: Path) -> None:
    session, address, folder = tagged
    assert ask(address, "/api/threshold", {"run": 1, "class": 3, "value": 0.2})[0] == 200
    view = session.view()
    assert view.counts()[3] > (view.result.scores[:, 3] >= 0.5).sum()
    file = tmp_path / "own.piaa"
    file.write_bytes(ask(address, "/export/classifier")[1])
    tags = Recognizer.load(file).tag([folder / Path(path).name for path in view.result.paths])
    assert np.array_equal(tags.decided, view.given)
    own = tmp_path / "own"
    own.mkdir()
    with running(own, folder, classifier=file) as (other, its):  # the page begins with it, and no word is typed
        assert ask(its, "/api/folder", {"path": ""})[0] == 200 and ask(its, "/api/run", {"words": ""})[0] == 200
        assert finished(its)["classifier"] == "own.piaa"
        assert np.array_equal(other.view().given, view.given)
    assert ask(address, "/api/threshold", {"run": 1, "class": 3, "value": 0.5})[0] == 200


def test_corrections_outlive_another_run_and_words(tagged: Any) -> None:
    session, address, _ = tagged
    run, names = session.result.run, session.result.classes
    path = session.result.paths[2]
    assert ask(address, "/api/correct", {"run": run, "image": 2, "class": 6, "value": True})[0] == 200
    assert ask(address, "/api/run", {"words": "\n".join([names[6], "a new word"])})[0] == 200
    assert finished(address)["run"] == run + 1
    view = session.view()
    assert view.said == {(view.result.rows[path], 0): True} and view.given[view.result.rows[path], 0]


def test_a_run_can_be_stopped(tagged: Any) -> None:
    session, address, _ = tagged
    before = session.result
    session.work.start(lambda: [session.work.report("waiting", 1, 9) or time.sleep(0.01) for _ in range(3000)])
    assert "wait until" in error(address, "/api/clear", {})
    assert ask(address, "/api/stop", {})[0] == 200
    assert "stopped while waiting, at 1 of 9" in finished(address)["work"]["error"]
    assert session.result is before
