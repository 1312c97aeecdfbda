"""Lists and standard input."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_helpers import png, put

from piaa.errors import ImageError, InputError
from piaa.inputs.items import read_arguments
from piaa.inputs.sources import Settings
from piaa.inputs.sources.lists import InputSource, split_lines

# lists and standard input


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.binary(min_size=1, max_size=9).map(
            lambda b: b.replace(b"\0", b"0").replace(b"\n", b"n").rstrip(b"\r") or b"x"
        )
    ),
    st.sampled_from([b"\n", b"\r\n", b"\0"]),
    st.booleans(),
    st.integers(1, 50),
)
def test_lines_come_back(lines: list[bytes], separator: bytes, ended: bool, size: int) -> None:
    lines = [line for line in lines if not line.startswith(b"\xef\xbb\xbf")]
    data = separator.join(lines) + (separator if ended and lines else b"")

    class Slow(io.BytesIO):
        def read1(self, _: int = -1) -> bytes:
            return super().read1(max(size, len(lines[0]) + 2 if lines else 1))

    assert [os.fsencode(line) for line in split_lines(Slow(data))] == lines


def test_paths_on_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a b.png", 5), put(tmp_path / "two\nlines.png", 6)
    monkeypatch.chdir(tmp_path)
    stream = io.BytesIO(b"a b.png\0two\nlines.png\0gone.png")
    items = list(InputSource(Settings(), stream))
    assert [item.id for item in items] == ["a b.png", "two\nlines.png", "gone.png"]
    assert [item.load().getpixel((0, 0))[0] for item in items[:2]] == [5, 6]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a b.png\r\n\r\nhttps://host/x.png\n")))
    items = list(read_arguments(["-"]))
    assert [item.id for item in items] == ["a b.png", "https://host/x.png"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(InputError, match="standard input: no path came"):
        list(read_arguments(["-"]))


def test_standard_input_is_read_as_it_comes(tmp_path: Path) -> None:
    read, write = os.pipe()
    with open(read, "rb") as stream, open(write, "wb", buffering=0) as sink:
        sink.write(b"1.png\n")
        source = iter(InputSource(Settings(), stream))
        assert next(source).id == "1.png"  # although more may come
        sink.write(b"2.png\n")
        assert next(source).id == "2.png"


def test_lists_of_each_kind(tmp_path: Path) -> None:
    put(tmp_path / "photos/1.png", 1), put(tmp_path / "photos/2.png", 2)
    paths = ["photos/1.png", str(tmp_path / "photos/2.png"), "photos/gone.png"]
    (tmp_path / "l.txt").write_text("\ufeff" + "\n".join(paths))
    with open(tmp_path / "l.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([["Path", "label"], *([path, "x"] for path in paths)])
    rows = [json.dumps(paths[0]), json.dumps({"image": paths[1]}), json.dumps({"url": paths[2]})]
    (tmp_path / "l.jsonl").write_text("\n".join(rows) + "\n\n")
    pq.write_table(pa.table({"other": [1, 2, 3], "path": paths}), tmp_path / "l.parquet")
    expected = [str(tmp_path / path) for path in paths]
    for ending in ("txt", "csv", "jsonl", "parquet"):
        items = list(read_arguments([], tmp_path / f"l.{ending}"))
        assert [item.id for item in items] == expected, ending
        assert [item.load().getpixel((0, 0))[0] for item in items[:2]] == [1, 2]
        with pytest.raises(ImageError, match=r"gone\.png: no such file"):
            items[2].load()
    both = read_arguments([str(tmp_path / "photos")], tmp_path / "l.txt")
    assert len(list(both)) == 5


def test_lists_that_hold_the_images(tmp_path: Path) -> None:
    pictures = [png(value) for value in (3, 4)]
    place = tmp_path / "t.parquet"
    for table, ids in (
        ({"bytes": pictures}, [f"{place}!row-0", f"{place}!row-1"]),
        ({"path": ["a", "b"], "bytes": pictures}, ["a", "b"]),
        ({"image": [{"bytes": data, "path": "same"} for data in pictures]}, [f"{place}!row-0", f"{place}!row-1"]),
    ):
        pq.write_table(pa.table(table), place)
        items = list(read_arguments([], place))
        assert [item.load().getpixel((0, 0))[0] for item in items] == [3, 4] and [item.id for item in items] == ids
        assert (
            items[0].stamp() != items[1].stamp() and items[0].stamp() == next(iter(read_arguments([], place))).stamp()
        )
    lines = [
        json.dumps({"bytes": base64.b64encode(pictures[0]).decode()}),
        "{",
        "[1]",
        "{}",
        json.dumps({"bytes": "%"}),
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    first, *bad = read_arguments([], tmp_path / "t.jsonl")
    assert first.load().getpixel((0, 0)) == (3, 0, 0)
    for number, (item, reason) in enumerate(
        zip(bad, ("no JSON", "wanted a path", "names no image", "base64"), strict=True), 1
    ):
        assert item.id == f"{tmp_path}/t.jsonl!row-{number}"
        with pytest.raises(ImageError, match=reason):
            item.load()


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content, message in (
        ("l.xls", "x", "ends in .txt, .csv, .jsonl, .parquet"),
        ("l.csv", "a,b\n1,2\n", "no column names or holds images"),
        ("l.parquet", "x", "no Parquet file"),
        ("l.txt", "\n", "names no image"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=message):
            list(read_arguments([], tmp_path / name))
    with pytest.raises(InputError, match="no such list"):
        read_arguments([], tmp_path / "gone.txt")


def test_names_that_are_no_utf8_are_ids_that_are(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_bytes(b"\xff.png\nmemory://z/\xff.png\n")
    (tmp_path / "l.jsonl").write_text('"\\ud800.png"\n{"url": "memory://\\udcff/x.png"}\n')
    for name, ids in (
        ("l.txt", (r"\xff.png", r"memory://z/\xff.png")),
        ("l.jsonl", (r"\ud800.png", r"memory://\xff/x.png")),
    ):
        items = list(read_arguments([], tmp_path / name))
        assert [item.id.removeprefix(f"{tmp_path}/") for item in items] == list(ids)
        for item in items:
            assert item.stamp() is None
            with pytest.raises(ImageError) as caught:
                item.load()
            assert f"{caught.value}".encode()


def test_a_long_list_is_read_as_it_is_needed(tmp_path: Path) -> None:
    lines = 200_000
    (tmp_path / "l.txt").write_text("".join(f"{number}.png\n" for number in range(lines)))
    stream = iter(read_arguments([], tmp_path / "l.txt"))
    assert next(stream).id.endswith("/0.png")
    with open(tmp_path / "l.txt", "r+b") as changed:  # the end is not read yet
        changed.truncate(lines)
    assert sum(1 for _ in stream) < lines // 2
