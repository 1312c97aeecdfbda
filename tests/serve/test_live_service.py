"""The service as clients meet it: a process of its own, real connections, the answers of `piaa tag`."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import booleans
from live_service import Live, service, write_classifier
from PIL import Image
from typer.testing import CliRunner

from piaa.cli.main import app
from piaa.scenes import render, sample_scene
from piaa.version import __version__

pytest.importorskip("fastapi_offline", reason="the service is not installed: pip install 'piaa[serve]'")
LABELS = ["anchor", "umbrella", "snowman", "cat"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of many sizes, two classifiers, a set of thresholds, and what `piaa tag` says of them."""
    root = tmp_path_factory.mktemp("serve")
    write_classifier(root / "c.piaa", LABELS)
    write_classifier(root / "other.piaa", ["house", "fish"], seed=6)
    (root / "sure.json").write_text(json.dumps(dict.fromkeys(LABELS, 0.9)))
    (root / "photos").mkdir()
    for number in range(18):
        size = ((96, 96), (130, 97), (400, 300))[number % 3]
        render(sample_scene(9, "test", number), size).save(root / "photos" / f"{number:02}.jpg")
    command = [sys.executable, "-m", "piaa", "tag", root / "photos", "--classifier", root / "c.piaa", "--all-scores"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--out", root / "tags.jsonl"], check=True, capture_output=True, env=environment)
    return root


@pytest.fixture(scope="module")
def live(world: Path) -> Iterator[Live]:
    limits = ("--max-bytes", 2_000_000, "--max-pixels", 300_000, "--max-images", 20, "--queue", 40)
    with service(world / "c.piaa", world / "other.piaa", "--thresholds", f"sure={world / 'sure.json'}", *limits) as one:
        yield one


def photos(world: Path) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in sorted((world / "photos").iterdir())]


def truth(world: Path) -> dict[str, dict[str, Any]]:
    _, *rows = [json.loads(line) for line in (world / "tags.jsonl").read_text().splitlines()]
    return {Path(row["path"]).name: row for row in rows}


def png(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def test_answers_are_those_of_piaa_tag_whatever_arrives_beside_them(world: Path, live: Live) -> None:
    """Requests of one to five images from six clients at a time, broken ones among them: 36 wait at most, 40 may."""
    expected, pictures, dice = truth(world), photos(world), random.Random(1)
    assert sum(bool(row["labels"]) for row in expected.values()) > 4
    asked = [dice.choices(pictures, k=dice.randint(1, 5)) for _ in range(24)]

    def ask(images: list[tuple[str, bytes]]) -> None:
        sent = [*images, ("broken.jpg", images[0][1][:200])]
        files = [("image", one) for one in sent]
        data = {"classifier": "c", "scores": "true"}
        answer = requests.post(f"{live.url}/v1/tag", files=files, data=data, timeout=60)
        assert answer.status_code == 200, answer.text
        *good, bad = answer.json()["images"]
        assert bad["labels"] is None and bad["error"]["code"] == "unreadable"
        for (name, _), found in zip(images, good, strict=True):
            assert found["name"] == name and found["error"] is None
            assert found["labels"] == expected[name]["labels"]
            assert found["scores"] == expected[name]["scores"]

    with ThreadPoolExecutor(6) as clients:
        list(clients.map(ask, asked))
    sizes = live.get("/metrics").text
    batches = float(re.findall(r"^piaa_batch_images_count (\S+)", sizes, re.MULTILINE)[0])
    images = float(re.findall(r"^piaa_batch_images_sum (\S+)", sizes, re.MULTILINE)[0])
    assert images == sum(map(len, asked)) and batches < images  # some did go through the model together


def test_json_and_form_give_the_same_and_options_are_heeded(world: Path, live: Live) -> None:
    name, data = photos(world)[2]
    row = truth(world)[name]
    images = [{"data": base64.b64encode(data).decode(), "name": name}, {"data": "not base64!"}]
    options = {"classifier": "c", "labels": ["cat", "anchor"], "top_k": 2, "embeddings": True, "scores": True}
    answer = requests.post(f"{live.url}/v1/tag", json={"images": images, "heat_maps": "values", **options}, timeout=60)
    assert answer.status_code == 200, answer.text
    found, bad = answer.json()["images"]
    assert bad["error"]["code"] == "not-base64" and bad["name"] == "image-1"
    assert found["scores"] == {label: row["scores"][label] for label in ("anchor", "cat")}
    assert [one["label"] for one in found["top"]] == sorted(["anchor", "cat"], key=lambda c: -row["scores"][c])
    assert abs(sum(value**2 for value in found["embedding"]) - 1) < 1e-5
    with Image.open(io.BytesIO(base64.b64decode(found["heat_maps"]["png"]["cat"]))) as values:
        assert values.mode == "L" and values.size == (16, 16)
    form = live.tag(data, classifier="c", labels=["cat", "anchor"], top_k=2, heat_maps="overlay")
    overlay = form.json()["images"][0]
    assert overlay["top"] == found["top"] and overlay["labels"] == found["labels"]
    with Image.open(io.BytesIO(base64.b64decode(overlay["heat_maps"]["png"]["cat"]))) as picture:
        assert picture.size == (256, 192)


def test_a_named_set_of_thresholds_is_that_of_piaa_tag(world: Path, live: Live, tmp_path: Path) -> None:
    command = ["tag", world / "photos", "--classifier", world / "c.piaa", "--out", tmp_path / "t.jsonl"]
    for label in LABELS:
        command += ["--threshold", f"{label}=0.9"]
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as the service has it
    result = CliRunner().invoke(app, list(map(str, command)))
    torch.set_num_threads(before)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line)["labels"] for line in (tmp_path / "t.jsonl").read_text().splitlines()[1:]]
    answer = live.tag(*(data for _, data in photos(world)), classifier="c", thresholds="sure")
    assert [image["labels"] for image in answer.json()["images"]] == rows
    assert rows != [row["labels"] for row in truth(world).values()]
    assert live.tag(png(9), classifier="other", thresholds="sure").json()["error"]["code"] == "unknown-thresholds"


@pytest.mark.parametrize(
    ("fields", "images", "status", "code"),
    [
        ({}, [png(9)], 422, "unknown-classifier"),
        ({"classifier": "nobody"}, [png(9)], 422, "unknown-classifier"),
        ({"classifier": "c", "labels": "dog"}, [png(9)], 422, "unknown-label"),
        ({"classifier": "c", "top_k": "0"}, [png(9)], 422, "options"),
        ({"classifier": "c", "path": "/etc/passwd"}, [png(9)], 422, "options"),
        ({"classifier": "c"}, [png(9)] * 21, 422, "too-many-images"),
        ({"classifier": "c"}, [bytes(2_000_001)], 413, "too-many-bytes"),
    ],
)
def test_limits_and_options(live: Live, fields: dict[str, str], images: list[bytes], status: int, code: str) -> None:
    answer = live.tag(*images, **fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_requests_that_are_no_images(live: Live) -> None:
    too_large = live.tag(png(600), classifier="c")
    assert too_large.status_code == 422
    assert too_large.json()["images"][0]["error"]["code"] == "too-many-pixels"
    url = f"{live.url}/v1/tag"
    for body, kind, status in (
        (b"{", "application/json", 400),
        (b'{"images": []}', "application/json", 422),
        (b"x", "text/plain", 415),
        (b"x", "multipart/form-data", 400),
        (b"--b\r\n\r\n", "multipart/form-data; boundary=b", 400),
        (b'{"images": [{"data": "/etc/passwd"}]}', "application/json", 422),
        (b'{"images": [{"data": "http://127.0.0.1/x.jpg"}]}', "application/json", 422),
    ):
        answer = requests.post(url, data=body, headers={"Content-Type": kind}, timeout=30)
        assert answer.status_code == status, (body, answer.text)
    chunked = requests.post(
        url, data=iter([bytes(10**6)] * 4), headers={"Content-Type": "application/json"}, timeout=30
    )
    assert chunked.status_code == 413


def test_broken_images_are_never_the_services_fault(world: Path, live: Live) -> None:
    """Some hundred: cut, overwritten, with a wrong head; each has an answer of its own and none is a 500."""
    dice, pictures = random.Random(2), photos(world)
    broken = []
    for number in range(200):
        data = bytearray(pictures[number % len(pictures)][1])
        del data[dice.randrange(len(data)) :]
        for _ in range(dice.randint(0, 30)):
            if data:
                data[dice.randrange(len(data))] = dice.randrange(256)
        broken.append(bytes(data))
    for start in range(0, len(broken), 20):
        answer = live.tag(*broken[start : start + 20], classifier="c")
        assert answer.status_code in (200, 422), answer.text
        images = answer.json()["images"]
        assert len(images) == 20
        assert all((one["labels"] is None) == (one["error"] is not None) for one in images)
        codes = {one["error"]["code"] for one in images if one["error"]}
        assert codes <= {"unreadable", "too-many-pixels"}, codes  # a damaged head may name any size


def test_lookups(live: Live) -> None:
    assert live.get("/health").json() == {"status": "ok", "version": __version__}
    ready = live.get("/ready").json()
    assert ready["ready"] and [one["name"] for one in ready["classifiers"]] == ["c", "other"]
    labels = live.get("/labels?classifier=c").json()
    assert labels["labels"] == LABELS and labels["thresholds"] == ["learnt", "sure"]
    page = live.get("/docs").text
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert address.startswith("/"), f"{address} would be fetched from another machine"
        assert live.get(address).status_code == 200
    assert "/v1/tag" in live.get("/openapi.json").json()["paths"]


PATHS = [("/v1/tag", "POST"), ("/labels", "GET"), ("/ready", "GET"), ("/health", "GET"), ("/metrics", "GET")]


def test_whatever_schemathesis_makes_of_the_schema_holds(live: Live) -> None:
    """Each answer has a status, a type and a body that the schema names; none is a 500."""
    schemathesis = pytest.importorskip("schemathesis", reason="not installed: pip install schemathesis")
    schema = schemathesis.openapi.from_url(f"{live.url}/openapi.json")
    assert {(o.ok().path, o.ok().method.upper()) for o in schema.get_all_operations()} == set(PATHS)
    checks, seen = schemathesis.checks, set()
    wanted = [
        checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    for path, method in PATHS:

        @given(case=schema[path][method].as_strategy(), mended=booleans())
        @settings(max_examples=50 if method == "POST" else 3, deadline=None, suppress_health_check=list(HealthCheck))
        def holds(case: Any, mended: bool) -> None:
            if mended and isinstance(case.body, dict):
                _mend(case.body)
            response = case.call()
            seen.add(response.status_code)
            case.validate_response(response, checks=wanted)

        holds()
    assert {200, 422} <= seen <= {200, 400, 415, 422}


def _mend(body: dict[str, Any]) -> None:
    """What no schema can say: which names exist, and what an image is."""
    for unknown in ("labels", "thresholds"):
        body.pop(unknown, None)
    body["classifier"] = "c"
    if "image" in body:
        body["image"] = [png(12)]
    if "images" in body:
        body["images"] = [{"data": base64.b64encode(png(12)).decode()}]


def test_the_clients_of_the_page_run_as_they_are_printed(world: Path, live: Live, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "service.md").read_text()
    python, shell = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[0] for kind in ("python", "bash"))
    shutil.copy(world / "photos" / "02.jpg", tmp_path / "photo.jpg")
    labels = truth(world)["02.jpg"]["labels"]
    for program in ([sys.executable, "-c", python], ["bash", "-c", shell]):
        if program[0] == "bash" and not shutil.which("curl"):
            continue
        assert len(program[-1].strip().splitlines()) <= 10
        program[-1] = program[-1].replace("http://127.0.0.1:8000", live.url).replace("animals", "c")
        done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        for one in labels:
            assert one["label"] in done.stdout and str(one["score"]) in done.stdout


def test_a_key_a_reload_a_full_queue_and_a_drain(world: Path, tmp_path: Path) -> None:
    file, key = tmp_path / "mine.piaa", "secret-of-this-test"
    shutil.copy(world / "c.piaa", file)
    limits = ("--queue", 2, "--max-images", 2)
    with service("--name", f"mine={file}", *limits, PIAA_API_KEY=key) as live:
        assert live.tag(png(20)).status_code == 401
        assert live.tag(png(20), key="wrong").headers["WWW-Authenticate"] == "Bearer"
        assert live.get("/metrics").status_code == 401 and live.get("/labels").status_code == 401
        first = live.tag(png(20), key=key).json()["classifier"]
        _check_reload(live, world, file, first, key)
        _check_full_queue(live, key)
        _check_drain(live, key)
    assert key not in "".join(live.log)


def _check_reload(live: Live, world: Path, file: Path, first: dict[str, str], key: str) -> None:
    whole = (world / "other.piaa").read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    state = _until(live, lambda one: one["reload_error"])
    assert state["fingerprint"] == first["fingerprint"] and "mine.piaa" in state["reload_error"]
    assert str(file.parent) not in state["reload_error"]
    assert live.tag(png(20), key=key).json()["classifier"] == first  # what is in use does not hang on the file
    os.replace(shutil.copy(world / "other.piaa", file.with_name("new")), file)
    state = _until(live, lambda one: one["fingerprint"] != first["fingerprint"])
    assert state["reload_error"] is None and state["labels"] == 2
    file.unlink()
    state = _until(live, lambda one: one["reload_error"])
    assert state["labels"] == 2


def _until(live: Live, wanted: Any) -> dict[str, Any]:
    for _ in range(150):
        state: dict[str, Any] = live.get("/ready").json()["classifiers"][0]
        if wanted(state):
            return state
        time.sleep(0.2)
    raise AssertionError(state)


def _check_full_queue(live: Live, key: str) -> None:
    image = png(1500)
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda _: live.tag(image, image, key=key), range(32)))
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 429}
    assert all(int(a.headers["Retry-After"]) >= 1 for a in answers if a.status_code == 429)
    assert live.tag(image, key=key).status_code == 200  # and it has recovered


def _check_drain(live: Live, key: str) -> None:
    """A request whose body is still on its way at SIGTERM is answered; then the process ends with 0."""
    body = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + png(30) + b"\r\n--b--\r\n"
    head = (
        f"POST /v1/tag HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    host, port = live.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode() + body[:50])
        time.sleep(0.5)
        live.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(OSError):
            socket.create_connection((host, int(port)), timeout=5).close()
        connection.sendall(body[50:])
        answer = b""
        while part := connection.recv(65536):
            answer += part
            if answer.endswith(b"}]}"):
                break
    assert answer.startswith(b"HTTP/1.1 200") and b'"labels"' in answer
    assert live.process.wait(20) == 0
    for _ in range(50):
        if "every request underway was answered" in "".join(live.log):
            return
        threading.Event().wait(0.1)
    raise AssertionError(live.log)
