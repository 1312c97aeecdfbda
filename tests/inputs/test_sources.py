"""Each kind of source, its order, its names, and that nothing is listed before its turn."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import os
import pickle
import random
import shutil
import struct
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from piaa.errors import ImageError, InputError
from piaa.inputs.items import batches, iterate, list_folder, open_source, read_arguments
from piaa.inputs.sources import Settings
from piaa.inputs.sources.lists import InputSource, split_lines
from piaa.vision.preprocess import build_preprocess


def png(value: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (value, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def put(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(value))
    return path


def names(stream: object, root: Path) -> list[str]:
    return [os.path.relpath(item.id, root) for item in stream]  # type: ignore[attr-defined]


# folders

PART = st.text(alphabet="aB.-_ é0", min_size=1, max_size=4).filter(lambda t: not t.startswith(".") and t.strip())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(PART, max_size=3), PART, st.sampled_from(["jpg", "PNG", "txt"])), max_size=12))
def test_a_walk_is_the_sorted_list(tmp_path: Path, files: list[tuple[list[str], str, str]]) -> None:
    root = tmp_path / "tree"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for folders, stem, ending in files:
        place = root.joinpath(*(f"{folder}d" for folder in folders))
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{stem}.{ending}").touch()
    everything = [path for path in root.rglob("*") if path.is_file()]
    images = [path for path in everything if path.suffix != ".txt"]
    ordered = sorted(images, key=lambda path: [os.fsencode(part) for part in path.relative_to(root).parts])
    source = open_source(root)
    if not images:
        with pytest.raises(InputError, match=rf"no image in this folder \({len(everything)} files"):
            list(source)
        return
    for _ in range(2):
        assert [item.source for item in source] == ordered
        assert source.skipped == Counter({".txt": len(everything) - len(images)})
    assert list_folder(root).paths == ordered
    assert [item.source for item in open_source(f"{root}/**/*")] == ordered


def test_a_walk_reads_no_folder_before_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for outer in range(20):
        for inner in range(20):
            folder = tmp_path / f"{outer:02d}" / f"{inner:02d}"
            folder.mkdir(parents=True)
            for number in range(3):
                (folder / f"{number}.jpg").touch()
            (folder / "x.txt").touch()
    scanned: list[object] = []
    scandir = os.scandir

    def count(path: object):
        scanned.append(path)
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", count)
    for inputs in (tmp_path, f"{tmp_path}/**/*.jpg"):
        scanned.clear()
        source = open_source(inputs)
        assert scanned == []
        stream = iter(source)
        next(stream)
        assert len(scanned) == 3  # the root, its first folder, the first in that
        for _ in range(1199 // 2):
            next(stream)
        assert len(scanned) == 1 + 10 + 200
        assert len(list(stream)) == 1200 - 600 and len(scanned) == 1 + 20 + 400
    assert source.skipped == {}
    assert sum(1 for _ in iterate(tmp_path)) == 1200


def test_an_unreadable_folder_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.png"), put(tmp_path / "locked/y.png"), put(tmp_path / "z.png")
    scandir = os.scandir

    def refuse(path: Path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert names(open_source(tmp_path), tmp_path) == ["a.png", "z.png", "locked"]
    with pytest.raises(ImageError, match="cannot be listed: Permission denied"):
        list(open_source(tmp_path))[-1].load()


def test_a_file_without_ending_is_looked_at(tmp_path: Path) -> None:
    put(tmp_path / "good")
    (tmp_path / "README").write_text("Python\n")
    (tmp_path / "x.png.bak").write_bytes(png())
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    source = open_source(tmp_path)
    assert names(source, tmp_path) == ["good"]
    assert source.skipped == {"": 2 if hasattr(os, "mkfifo") else 1, ".bak": 1}


def test_stamps(tmp_path: Path) -> None:
    path = put(tmp_path / "x.png")
    (item,) = open_source(path)
    status = path.stat()
    assert item.stamp() == (status.st_size, status.st_mtime_ns)
    put(path, 200), os.utime(path, ns=(1, 1))
    assert item.stamp() == (path.stat().st_size, 1)
    path.unlink()
    assert item.stamp() is None
    assert next(iterate([Image.new("RGB", (2, 2))])).stamp() is None


# patterns


def test_a_pattern_follows_links_that_it_names_and_no_others(tmp_path: Path) -> None:
    put(tmp_path / "away/1.png")
    put(tmp_path / "here/a/2.png"), put(tmp_path / "here/a-b/3.png"), (tmp_path / "here/n.txt").touch()
    (tmp_path / "here/link").symlink_to(tmp_path / "away")
    here = tmp_path / "here"
    assert names(open_source(f"{here}/*/*.png"), here) == ["a/2.png", "a-b/3.png", "link/1.png"]
    assert (
        names(open_source(f"{here}/**/*.png"), here)
        == names(open_source(f"{here}/**"), here)
        == ["a/2.png", "a-b/3.png"]
    )
    assert names(open_source(f"{here}/**/a/**/*.png"), here) == ["a/2.png"]
    assert names(open_source(f"{here}/[ab]*/?.png"), here) == ["a/2.png", "a-b/3.png"]
    source = open_source(f"{here}/*")
    with pytest.raises(InputError, match="no image matches this pattern"):
        list(source)
    assert source.skipped == {".txt": 1}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["**", "*", "a", "b*", "?"]), min_size=1, max_size=4), st.integers(0, 10**6))
def test_a_pattern_matches_what_it_gives(tmp_path_factory: pytest.TempPathFactory, parts: list[str], seed: int) -> None:
    if not any("*" in part or "?" in part for part in parts):
        return
    root = tmp_path_factory.mktemp("tree")
    draw = random.Random(seed)
    for _ in range(8):
        folder = root.joinpath(*draw.choices(["a", "b", "ba"], k=draw.randrange(3)))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{draw.choice('ab')}.jpg").touch()
    source = open_source("/".join([str(root), *parts, "*.jpg"]))
    every = sorted(root.rglob("*.jpg"))
    expected = [path for path in every if source.matches(path)]  # type: ignore[attr-defined]
    by_pathlib = sorted(root.glob("/".join([*parts, "*.jpg"])))
    assert expected == by_pathlib
    assert sorted(item.source for item in source.items()) == by_pathlib


# several arguments


def test_several_arguments_give_each_image_once(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png", "a/sub/3.png", "b/4.png", "a/.hidden.png"):
        put(tmp_path / name)
    (tmp_path / "a/note.txt").touch(), (tmp_path / "b/note.txt").touch()
    a, b = str(tmp_path / "a"), str(tmp_path / "b")

    def given_by(*arguments: str) -> list[str]:
        return names(read_arguments(arguments), tmp_path)

    assert given_by(a, b) == ["a/1.png", "a/2.png", "a/sub/3.png", "b/4.png"]
    assert given_by(b, f"{a}/2.png", a) == ["b/4.png", "a/2.png", "a/1.png", "a/sub/3.png"]
    assert given_by(a, f"{a}/2.png", f"{a}/sub", a) == ["a/1.png", "a/2.png", "a/sub/3.png"]
    assert given_by(f"{a}/sub", a) == ["a/sub/3.png", "a/1.png", "a/2.png"]
    assert given_by(f"{a}/*.png", f"{a}/1.png", f"{a}/**/*.png", a) == ["a/1.png", "a/2.png", "a/sub/3.png"]
    assert given_by(a, f"{a}/.hidden.png") == ["a/1.png", "a/2.png", "a/sub/3.png", "a/.hidden.png"]
    source = read_arguments([a, b])
    for _ in range(2):
        assert len(list(source)) == 4 and source.skipped == {".txt": 2}
    with pytest.raises(ImageError):  # what is named is opened, whatever its ending
        next(iter(read_arguments([f"{a}/note.txt", b]))).load()


def test_arguments_that_give_nothing(tmp_path: Path) -> None:
    put(tmp_path / "good/1.png")
    (tmp_path / "empty").mkdir()
    good, empty, pattern = str(tmp_path / "good"), str(tmp_path / "empty"), f"{tmp_path}/*.gif"
    for arguments in ([empty, good, pattern], [good, empty, pattern]):
        items = list(read_arguments(arguments))
        assert {item.id for item in items} == {empty, pattern, f"{good}/1.png"} and len(items) == 3
        with pytest.raises(ImageError, match=r"empty: no image in this folder \(0 files"):
            next(item for item in items if item.id == empty).load()
    with pytest.raises(InputError, match=r"empty: no image in this folder.*; .*gif: no image matches"):
        list(read_arguments([empty, pattern]))
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        read_arguments([good, f"{tmp_path}/nowhere"])
    with pytest.raises(InputError, match="no images given"):
        read_arguments([])
    with pytest.raises(InputError, match="read but once"):
        read_arguments(["-", "-"])


def test_a_list_in_python_mixes_kinds(tmp_path: Path) -> None:
    put(tmp_path / "a/1.png", 7), put(tmp_path / "2.png", 8)
    members = [
        tmp_path / "a",
        str(tmp_path / "*.png"),
        np.full((2, 2, 3), 9, np.uint8),
        tmp_path / "a",
        tmp_path / "gone",
    ]
    items = list(iterate(members))
    assert [item.id.removeprefix(f"{tmp_path}/") for item in items] == [
        "a/1.png",
        "2.png",
        "image-2",
        "a/1.png",
        "gone",
    ]
    assert [item.load().getpixel((0, 0))[0] for item in items[:3]] == [7, 8, 9]
    assert [item.id for item in iterate([open_source(tmp_path / "a")])] == [str(tmp_path / "a/1.png")]


def test_settings_reach_every_item(tmp_path: Path) -> None:
    put(tmp_path / "1.png")
    for inputs in (
        tmp_path,
        tmp_path / "1.png",
        f"{tmp_path}/*",
        [tmp_path / "1.png"],
        [png()],
        np.zeros((4, 4, 3), np.uint8),
    ):
        (item,) = open_source(inputs, max_pixels=15)
        with pytest.raises(ImageError, match="more than 15"):
            item.load()
    source = open_source(tmp_path)
    assert open_source(source) is source


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


# tars


def shard(path: Path, members: list[tuple[str, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


MEMBERS = [("b/2.png", png(2)), ("b/2.json", b"{}"), ("a/1.png", png(1)), ("b/2.png", png(3)), ("plain", png(4)),
           ("b/._2.png", b"x"), ("note", b"text")]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "mode"), [("s.tar", "w"), ("s.tar.gz", "w:gz"), ("s.tgz", "w:gz"), ("s.tar.xz", "w:xz")]
)
def test_a_tar_in_its_own_order(tmp_path: Path, name: str, mode: str) -> None:
    path = shard(tmp_path / name, MEMBERS, mode)
    source = open_source(path)
    items = [pickle.loads(pickle.dumps(item)) for item in source]
    assert [item.id for item in items] == [f"{path}!{m}" for m in ("b/2.png", "a/1.png", "b/2.png!2", "plain")]
    assert [item.load().getpixel((0, 0))[0] for item in reversed(items)] == [4, 3, 1, 2]
    assert source.skipped == {".json": 1, "": 1}
    stamps = [item.stamp() for item in items]
    assert stamps == [item.stamp() for item in source]
    os.utime(path, ns=(1, 1))
    assert not set(stamps) & {item.stamp() for item in source}


def test_tars_by_pattern_and_in_folders(tmp_path: Path) -> None:
    for number in range(3):
        shard(tmp_path / f"s-{number}.tar", [("1.png", png(number)), ("1.txt", b"")])
    source = read_arguments([f"{tmp_path}/s-[12].tar"])
    assert [item.id for item in source] == [f"{tmp_path}/s-{number}.tar!1.png" for number in (1, 2)]
    assert source.skipped == {".txt": 2}
    put(tmp_path / "x.png")
    folder = open_source(tmp_path)
    assert names(folder, tmp_path) == ["x.png"] and folder.skipped == {".tar": 3}


def test_a_damaged_tar(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", [(f"{n}.png", png(n)) for n in range(4)])
    whole = path.read_bytes()
    ends = {"data": whole[: 3 * 1024 + 600], "header": whole[: 3 * 1024 + 200], "no end mark": whole[: 3 * 1024],
            "garbage": whole[: 3 * 1024] + b"x" * 2048}  # fmt: skip
    for data in ends.values():
        for name, content in (
            ("s.tar", data),
            ("s.tar.gz", gzip.compress(data)),
            ("t.tar.gz", gzip.compress(whole)[:-40]),
        ):
            (tmp_path / name).write_bytes(content)
            *good, last = open_source(tmp_path / name)
            assert [item.id for item in good[:3]] == [f"{tmp_path / name}!{n}.png" for n in range(len(good[:3]))]
            assert len(good) >= 3 or name == "t.tar.gz"
            with pytest.raises(ImageError, match="cut short"):
                last.load()
    path.write_bytes(b"no tar at all" * 100)
    with pytest.raises(InputError, match=r"s\.tar: not a readable tar"):
        iterate(path)
    shard(path, [("x.txt", b"x")])
    with pytest.raises(InputError, match=r"no image in this tar \(1 files"):
        iterate(path)


def test_an_image_is_read_from_its_tar_when_its_turn_comes(tmp_path: Path) -> None:
    path = shard(tmp_path / "s.tar", [("1.png", png(1)), ("2.png", png(2))])
    first, second = open_source(path)
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:1500])
    assert first.load().size == (4, 4)
    with pytest.raises(ImageError, match=r"2\.png: the tar is cut short"):
        second.load()
    path.unlink()
    with pytest.raises(ImageError, match="no such file"):
        first.load()


# videos


def clip(path: Path, frames: int, rate: int = 10) -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            picture = Image.new("RGB", (64, 48), (number * 255 // frames,) * 3)
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return path


def test_frames_of_a_video(tmp_path: Path) -> None:
    path = clip(tmp_path / "c.mp4", 40)
    put(tmp_path / "d.png")
    source = open_source(tmp_path)
    assert names(source, tmp_path) == ["d.png"] and source.skipped == {".mp4": 1}
    items = list(open_source(tmp_path, frames=4))
    assert names(items, tmp_path) == [f"c.mp4!{at}s" for at in ("0.500", "1.500", "2.500", "3.500")] + ["d.png"]
    levels = [pickle.loads(pickle.dumps(item)).load().getpixel((20, 20))[0] for item in items[:4]]
    assert np.abs(np.array(levels) - [5 * 255 / 40, 15 * 255 / 40, 25 * 255 / 40, 35 * 255 / 40]).max() <= 6
    assert items[0].stamp() == (path.stat().st_size, path.stat().st_mtime_ns)
    assert len(list(open_source(path, frames=100))) == 40
    path.write_bytes(b"no video")
    with pytest.raises(ImageError, match="not a readable video"):
        next(iterate(open_source(path, frames=2))).load()


def test_a_video_that_was_held_upright_is_upright(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "c.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        picture = Image.new("RGB", (64, 48))
        picture.paste("white", (0, 0, 16, 16))
        container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    data = path.read_bytes()
    track = data.index(b"tkhd")
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)  # a quarter, clockwise
    assert plain in data[track:]
    path.write_bytes(data[:track] + data[track:].replace(plain, turned, 1))
    (item,) = open_source(path, frames=1)
    upright = item.load()
    assert upright.size == (48, 64)
    assert min(upright.getpixel((44, 3))) > 200 and max(upright.getpixel((3, 3))) < 50


# Hugging Face


def test_hugging_face_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pictures = [Image.new("RGB", (4, 4), (value, 0, 0)) for value in (1, 2, 3)]
    features = datasets.Features({"label": datasets.Value("int32"), "photo": datasets.Image()})
    dataset = datasets.Dataset.from_dict({"label": [0, 1, 2], "photo": pictures}, features=features)
    for inputs in (dataset, dataset.to_iterable_dataset()):
        items = list(iterate(inputs))
        assert [item.id for item in items] == ["image-0", "image-1", "image-2"]
        assert [item.load().getpixel((0, 0))[0] for item in items] == [1, 2, 3]
    dataset.save_to_disk(tmp_path / "saved")
    items = list(read_arguments([str(tmp_path / "saved")]))
    assert [item.id for item in items] == [f"{tmp_path}/saved!row-{number}" for number in range(3)]
    assert [item.load().getpixel((0, 0))[0] for item in items] == [1, 2, 3]
    assert len({item.stamp() for item in items}) == 3
    assert [item.stamp() for item in open_source(tmp_path / "saved")] == [item.stamp() for item in items]
    both = datasets.DatasetDict({"train": dataset, "test": dataset})
    both.save_to_disk(tmp_path / "both")
    for inputs in (both, tmp_path / "both"):
        with pytest.raises(InputError, match=r"splits \(train, test\)"):
            iterate(inputs)
    with pytest.raises(InputError, match="no column holds images"):
        iterate(dataset.remove_columns("photo"))


# all of them, through batches


def test_every_source_feeds_batches(tmp_path: Path) -> None:
    shard(tmp_path / "s.tar.gz", [(f"{n}.png", png(n)) for n in range(5)])
    put(tmp_path / "photos/1.png")
    (tmp_path / "l.txt").write_text("photos/1.png\nphotos/2.png\n")
    source = read_arguments([str(tmp_path / "s.tar.gz"), str(tmp_path / "photos")], tmp_path / "l.txt")
    failed: list[ImageError] = []
    got = [name for b in batches(iterate(source), build_preprocess(16), 4, 2, failed.append) for name in b.ids]
    assert len(got) == 7 and [error.path for error in failed] == [f"{tmp_path}/photos/2.png"]
