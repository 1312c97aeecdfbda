"""Tars and videos."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from source_helpers import names, png, put, shard

from piaa.errors import ImageError, InputError
from piaa.inputs.items import iterate, open_source, read_arguments

# tars


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
