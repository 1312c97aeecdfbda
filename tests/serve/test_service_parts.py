"""Parts of the service by themselves: settings, names, thresholds, the shelf, the batcher, the container's files."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from piaa.cli.serve import named_files, read_sets
from piaa.engine import Seen
from piaa.errors import InputError
from piaa.serve.settings import KEY_VARIABLE, Settings, read_key

pytest.importorskip("fastapi_offline", reason="the service is not installed: pip install 'piaa[serve]'")
from piaa.serve.batcher import Batcher, Scored
from piaa.serve.metrics import Metrics
from piaa.serve.refusals import Fault, Refusal
from piaa.serve.reload import Shelf
from piaa.vision.encoder import Encoded
from piaa.vision.preprocess import Preprocess

ROOT = Path(__file__).parents[2]


def test_limits_that_let_nothing_through_are_refused() -> None:
    with pytest.raises(InputError, match="max_bytes = 0"):
        Settings(max_bytes=0)
    with pytest.raises(InputError, match="64 images a request do not fit into a queue of 10"):
        Settings(queue=10)


def test_the_key_comes_from_its_file_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text("from-the-file\n")
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert read_key(None) is None
    monkeypatch.setenv(KEY_VARIABLE, "from-outside")
    assert (read_key(None), read_key(file)) == ("from-outside", "from-the-file")
    for text in ("", "two words", "ключ"):
        file.write_text(text)
        with pytest.raises(InputError, match="an API key is one line"):
            read_key(file)


def test_names_and_sets_of_the_command_line(tmp_path: Path) -> None:
    assert named_files([Path("a/b.piaa")], ["x=c.piaa"]) == {"b": Path("a/b.piaa"), "x": Path("c.piaa")}
    for wrong, reason in ((["b=x"], "two classifiers"), (["b"], "wants NAME=FILE"), (["=f"], "wants NAME=FILE")):
        with pytest.raises(InputError, match=reason):
            named_files([Path("b.piaa")], wrong)
    with pytest.raises(InputError, match="no classifier"):
        named_files([], [])
    file = tmp_path / "t.json"
    file.write_text('{"cat": 0.7}')
    assert read_sets([f"sure={file}"]) == {"sure": {"cat": 0.7}}
    with pytest.raises(InputError, match="exists already"):
        read_sets([f"learnt={file}"])
    for text in ("[]", "{}", '{"cat": "x"}', "{"):
        file.write_text(text)
        with pytest.raises(InputError, match=r"t\.json"):
            read_sets([f"sure={file}"])


def test_a_shelf_keeps_what_it_has_until_a_changed_file_loads(tmp_path: Path) -> None:
    path, seen = tmp_path / "c.piaa", []
    path.write_text("1")

    def load(name: str, file: Path) -> Any:
        text = file.read_text()
        if not text.isdigit():
            raise ValueError(f"{file}: damaged")
        return SimpleNamespace(scorer=SimpleNamespace(fingerprint=text), text=text)

    shelf = Shelf({"c": path}, load, lambda name, well: seen.append((name, well)))
    shelf.look()
    assert not seen
    path.write_text("half a fi")
    shelf.look()  # it may still be written to
    assert not seen
    shelf.look()
    shelf.look()  # the same damaged file is not tried again
    assert seen == [("c", False)] and shelf.get(None).text == "1"  # type: ignore[attr-defined]
    assert shelf.held["c"].error == "ValueError: c.piaa: damaged"
    path.write_text("222")
    shelf.look()
    shelf.look()
    assert seen[-1] == ("c", True) and shelf.held["c"].error is None
    assert shelf.get("c").text == "222"  # type: ignore[attr-defined]
    with pytest.raises(KeyError):
        shelf.get("other")


class Model:
    """Scores 0.5, and fails for any batch with a dark image in it."""

    setup = SimpleNamespace(decoded_together=4)
    preprocess = Preprocess((8, 8))
    largest = 0

    def encode(self, images: torch.Tensor) -> Encoded:
        type(self).largest = max(self.largest, len(images))
        if bool((images.mean(dim=(1, 2, 3)) < 0).any()):
            raise RuntimeError("dark")
        return Encoded(torch.ones(len(images), 3), torch.ones(len(images), 1, 3), (1, 1))

    def look_encoded(self, encoded: Encoded) -> Seen:
        return Seen(torch.full((len(encoded.cls), 2), 0.5), torch.zeros(len(encoded.cls)))


def picture(colour: str) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (9, 9), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_image_that_the_model_fails_on_fails_alone() -> None:
    loaded: Any = SimpleNamespace(scorer=Model())
    batcher = Batcher(Settings(max_images=4, queue=6), Metrics())
    images = [picture("white"), picture("black"), b"no image", picture("white"), picture("white")]

    async def ask() -> list[Any]:
        with batcher.place(5), pytest.raises(Refusal) as refused:
            batcher.place(2)
        assert refused.value.status == 429 and refused.value.retry_after == 1
        with batcher.place(5):
            return list(await batcher.score(loaded, images, False))

    outcomes = asyncio.run(ask())
    batcher.close()
    assert [type(one) for one in outcomes] == [Scored, Fault, Fault, Scored, Scored]
    assert [one.code for one in outcomes if isinstance(one, Fault)] == ["failed", "unreadable"]
    assert batcher.held == 0 and 1 <= Model.largest <= 4


def test_bodies_have_a_bound_and_give_their_room_back() -> None:
    batcher = Batcher(Settings(max_bytes=100), Metrics())
    with batcher.body(100), batcher.body(600):
        with pytest.raises(Refusal, match="being received"), batcher.body(101):
            pass
        with batcher.body(100):
            assert batcher.bodies == 800
    assert batcher.bodies == 0
    batcher.close()


def test_what_the_container_copies_is_there_and_it_runs_as_nobody_special() -> None:
    """Without a container engine: the file is parsed, and the command that it ends in is checked."""
    from typer.main import get_command

    from piaa.cli.main import app

    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#")]
    names = [name for name, _ in steps]
    known_steps = "FROM ARG ENV WORKDIR COPY RUN USER EXPOSE ENTRYPOINT CMD HEALTHCHECK"
    assert set(names) <= set(known_steps.split())
    ignored = [line.rstrip("/") for line in (ROOT / ".dockerignore").read_text().split()]
    copied = [rest.split() for name, rest in steps if name == "COPY" and "--from" not in rest]
    for *sources, _ in copied:
        for source in sources:
            assert (ROOT / source).exists() and source.rstrip("/") not in ignored, source
    assert "constraints.txt" in {source for *sources, _ in copied for source in sources}
    user = [rest for name, rest in steps if name == "USER"][-1]
    assert user not in ("root", "0") and names.index("USER") < names.index("ENTRYPOINT")
    entry = json.loads(next(rest for name, rest in steps if name == "ENTRYPOINT"))
    words = entry + json.loads(next(rest for name, rest in steps if name == "CMD"))
    assert words[:2] == ["piaa", "serve"]
    command: Any = get_command(app)
    known = {option for parameter in command.commands["serve"].params for option in parameter.opts}
    compose = (ROOT / "compose.yaml").read_text()
    given = words + shlex.split(re.sub(r"[\[\],]", " ", re.findall(r"command: (.*)", compose)[0]))
    assert {word.partition("=")[0] for word in given if word.startswith("--")} <= known
    assert "read_only: true" in compose and "no-new-privileges:true" in compose
