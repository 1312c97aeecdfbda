"""Class and file names that would do harm where they are shown: the commands as they are typed, with such names."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from piaa.cli.console import visible
from piaa.cli.main import app
from piaa.exchange import read_tags
from piaa.exchange.common import uncell
from piaa.scenes import render, sample_scene
from piaa.vocabulary.labels import read_labels

CLASSES = [
    "<script>alert(1)</script>", "</style><b>", '"><img src=x onerror=alert(1)>', "=1+1", "+cmd|' /C calc'!A0",
    "@SUM(1)", "-2", "a {{ 7*7 }}", "a [red]rich[/red]", "%s %n {0}", "'; DROP TABLE x; --", "\u202etxt.exe",
    "naïve 傘 зонт 🐈", "a\\nb", "x" * 200,
]  # fmt: skip
"""What a label file may hold; control characters it may not (`test_control_characters_are_no_class_name`)."""
FILES = [
    b"plain.jpg", b"two\nlines.jpg", b"\x1b[2J\x1b[31mred.jpg", b"\x1b]0;title\x07.jpg", b'quote".jpg', b"it's.jpg",
    b"<script>alert(2).jpg", b"=1+1.jpg", b"@a.jpg", b"-rf.jpg", b"tab\t.jpg", b"cr\r.jpg", b"comma,;.jpg",
    b"$(touch x).jpg", b"%00.jpg", b"{{ 7*7 }}.jpg", b"[bold]b[bold].jpg", b"\xff\xfelatin\xe9.jpg",
    "傘\u202e.jpg".encode(), b"a" * 251 + b".jpg",
]  # fmt: skip
BROKEN = [b"\x1b[31mbroken\n.jpg", b"<b>broken.jpg", b"=broken.jpg", b"\xffbroken.jpg"]
COMMANDS_OF_TERMINALS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]")


def piaa(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return harmless(result.output)


def harmless(output: str) -> str:
    """What a terminal is given; no name may command it."""
    assert not COMMANDS_OF_TERMINALS.search(output.replace("\r\n", "\n")), repr(output)
    return output


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile")
    (root / "labels.txt").write_text("".join(f"{name}\n" for name in CLASSES), encoding="utf-8")
    photos = os.fsencode(root / "photos")
    os.mkdir(photos)
    for number, name in enumerate(FILES):
        with open(os.path.join(photos, name), "wb") as stream:
            render(sample_scene(3, "test", number), (64, 48)).save(stream, "JPEG")
    for name in BROKEN:
        with open(os.path.join(photos, name), "wb") as stream:
            stream.write(b"no image at all")
    piaa("fit", root / "photos", "--labels", root / "labels.txt", "--out", root / "c.piaa", code=3)
    for ending in ("jsonl", "parquet"):
        said = piaa("tag", root / "photos", "--classifier", root / "c.piaa", "--out", root / f"t.{ending}",
                    "--all-scores", "--gallery", root / f"{ending}.html", code=3)  # fmt: skip
        assert f"tagged {len(FILES)} images" in said
        assert f"{len(BROKEN)} images could not be used" in said
    return root


def rows_of(world: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (world / "t.jsonl").read_text(encoding="utf-8").split("\n")[1:] if line]


def shown(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def test_every_name_comes_back_whole(world: Path) -> None:
    rows = rows_of(world)
    names = [str(row["path"]).partition("photos/")[2] for row in rows]
    assert sorted(names) == sorted(map(shown, FILES))
    assert all(list(row["scores"]) == CLASSES for row in rows)  # type: ignore[call-overload]
    table = pq.read_table(world / "t.parquet")
    assert table["path"].to_pylist() == [row["path"] for row in rows]
    assert table.schema.field("scores").type.list_size == len(CLASSES)
    errors = [json.loads(line) for line in (world / "t.jsonl.errors.jsonl").read_text("utf-8").split("\n") if line]
    assert sorted(each["path"].partition("photos/")[2] for each in errors) == sorted(map(shown, BROKEN))


class _Page(HTMLParser):
    """All elements and attributes of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_gallery_shows_names_as_text(world: Path) -> None:
    page = _Page()
    page.feed((world / "jsonl.html").read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert page.tags.count("style") == 1
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not [value for name, value in page.attributes if name in ("src", "href") and not value.startswith("data:")]  # type: ignore[union-attr]
    assert "{{ 7*7 }}.jpg" in page.text
    assert "49" not in [piece.strip() for piece in page.text.split("\n")]
    assert "<script>alert(2).jpg" in page.text
    titles = [value for name, value in page.attributes if name == "title"]
    assert len(titles) == len(FILES)


def test_a_csv_has_a_row_for_each_image_and_no_formula(world: Path, tmp_path: Path) -> None:
    piaa("export", world / "t.jsonl", "--to", "csv", "--out", tmp_path / "t.csv", "--images", world / "photos")
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream, strict=True))
    assert len(lines) == 1 + len(FILES)
    assert {len(line) for line in lines} == {1 + len(CLASSES)}
    assert not [cell for line in lines for cell in line if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert [uncell(cell) for cell in lines[0][1:]] == CLASSES


def test_the_csv_of_tags_is_read_back(world: Path, tmp_path: Path) -> None:
    said = piaa("tag", world / "photos", "--classifier", world / "c.piaa", "--out", tmp_path / "t.csv", code=1)
    assert "holds a `;`" in said
    names = [name for name in CLASSES if ";" not in name]
    (tmp_path / "l.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    piaa("fit", world / "photos", "--labels", tmp_path / "l.txt", "--out", tmp_path / "c.piaa", code=3)
    tags = tmp_path / "t.csv"
    piaa("tag", world / "photos", "--classifier", tmp_path / "c.piaa", "--out", tags, "--all-scores", code=3)
    table = read_tags(tmp_path / "t.csv")
    assert [row.path for row in table.rows] == [row["path"] for row in rows_of(world)]
    assert table.classes == names


@pytest.mark.parametrize("form", ["coco", "label-studio", "cvat", "huggingface"])
def test_exports_hold_such_names(form: str, world: Path, tmp_path: Path) -> None:
    out = tmp_path / f"out{ {'cvat': '.xml', 'huggingface': '.parquet'}.get(form, '.json') }"
    piaa("export", world / "t.jsonl", "--to", form, "--out", out)
    assert out.stat().st_size > 100


def test_an_explanation_of_such_a_file(world: Path, tmp_path: Path) -> None:
    said = piaa("explain", world / "photos", "--classifier", world / "c.piaa", "--out", tmp_path / "maps", code=3)
    pictures = list((tmp_path / "maps").glob("*.png"))
    assert len(pictures) == len(FILES)
    assert said.count("not read:") == len(BROKEN)
    with Image.open(pictures[0]) as picture:
        assert picture.size[0] > 300
    path = os.fsdecode(os.path.join(os.fsencode(world / "photos"), FILES[2]))
    said = piaa("explain", path, "--classifier", world / "c.piaa", "--out", tmp_path / "a.png")
    assert any(name in said for name in CLASSES)


def test_a_process_of_its_own_prints_no_command_to_the_terminal(world: Path) -> None:
    path = os.path.join(os.fsencode(world / "photos"), BROKEN[0])
    command = [
        sys.executable,
        "-m",
        "piaa",
        "explain",
        path,
        "--classifier",
        world / "c.piaa",
        "--out",
        world / "e.png",
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"\x1b[31mbroken" not in done.stderr
    assert b"\\x1b[31mbroken" in done.stderr
    harmless(done.stderr.decode())


@pytest.mark.parametrize("name", ["a\x1b[31m", "a\x00", "a\x07", "a\x9b"])
def test_control_characters_are_no_class_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text(f"cat\n{name}\n", encoding="utf-8")
    said = piaa("fit", tmp_path, "--labels", tmp_path / "l.txt", "--out", tmp_path / "c.piaa", code=1)
    assert "control characters" in said
    assert "line 2" in said


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "shift_jis", "utf-32"])
def test_a_label_file_of_another_encoding_is_refused(encoding: str, tmp_path: Path) -> None:
    text = {"shift_jis": "傘\n", "latin-1": "naïve\n"}.get(encoding, "cat\n")
    (tmp_path / "l.txt").write_bytes(text.encode(encoding))
    said = piaa("fit", tmp_path, "--labels", tmp_path / "l.txt", "--out", tmp_path / "c.piaa", code=1)
    assert re.search("UTF-8|control characters", said)
    (tmp_path / "l.txt").write_bytes("naïve\n".encode("utf-8-sig"))
    assert [label.name for label in read_labels(tmp_path / "l.txt")] == ["naïve"]


def test_text_for_a_terminal() -> None:
    assert visible("a\nb\tc ✓ 傘 [red]") == "a\nb\tc ✓ 傘 [red]"
    assert visible("\x1b[2J\r\x07\x9b\u202e\udcff") == "\\x1b[2J\\r\\x07\\x9b\\u202e\\udcff"
