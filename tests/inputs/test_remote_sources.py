"""Roots that fsspec reaches: in memory, over HTTP and in an object store, both served here."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from PIL import Image

from file_server import served
from piaa.errors import ImageError, InputError
from piaa.inputs.items import batches, iterate, open_source, read_arguments
from piaa.inputs.sources import places
from piaa.inputs.sources.places import is_url, stamp_of_entry
from piaa.vision.preprocess import build_preprocess

FILES = {"b/2.png": 2, "a/1.png": 1, "a.b/3.png": 3, "a/sub/4.png": 4, ".hidden/5.png": 5, "a/.6.png": 6}
ORDER = ["a/1.png", "a/sub/4.png", "a.b/3.png", "b/2.png"]


def png(value: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (value, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def tar(*values: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for value in values:
            info = tarfile.TarInfo(f"{value}.png")
            info.size = len(png(value))
            archive.addfile(info, io.BytesIO(png(value)))
    return stream.getvalue()


def levels(items: Any) -> list[int]:
    return [pickle.loads(pickle.dumps(item)).load().getpixel((0, 0))[0] for item in items]


@pytest.fixture()
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    for name, value in FILES.items():
        system.pipe(f"/root/{name}", png(value))
    system.pipe("/root/note.txt", b"x"), system.pipe("/root/a/note.txt", b"x")
    system.pipe("/tars/s.tar", tar(7, 8)), system.pipe("/empty/x.txt", b"")
    yield system
    system.store.clear()


def test_a_folder_in_memory(memory: Any) -> None:
    source = open_source("memory://root")
    for _ in range(2):
        items = list(source)
        assert [item.id for item in items] == [f"memory:///root/{name}" for name in ORDER]
        assert source.skipped == {".txt": 2}
    assert levels(items) == [FILES[name] for name in ORDER]
    (single,) = open_source("memory://root/a/1.png")
    assert single.id == "memory://root/a/1.png" and levels([single]) == [1]


def test_stamps_of_remote_files(memory: Any) -> None:
    before = {item.id: item.stamp() for item in open_source("memory://root")}
    assert all(before.values()) and before == {item.id: item.stamp() for item in open_source("memory://root")}
    memory.pipe("/root/a/1.png", png(99))
    after = {item.id: item.stamp() for item in open_source("memory://root")}
    assert [name for name in before if before[name] != after[name]] == ["memory:///root/a/1.png"]
    assert stamp_of_entry({"ETag": '"x"', "LastModified": 3, "size": 9}) == ('"x"', 9)
    assert stamp_of_entry({"size": 9}) is None  # size alone would take a changed image for an unchanged one


def test_a_remote_walk_lists_no_folder_before_its_turn(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    ls = type(memory).ls
    monkeypatch.setattr(type(memory), "ls", lambda self, path, **kw: (listed.append(path), ls(self, path, **kw))[1])
    stream = iter(open_source("memory://root"))
    next(stream)
    assert listed[-2:] == ["/root", "/root/a"] and "/root/b" not in listed
    list(stream)
    assert listed[-1] == "/root/b"


def test_what_is_not_there(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, message in (
        ("memory://nowhere", "no such file or folder"),
        ("memory://empty", r"no image in this folder \(1 files"),
        ("nothing-known://x/y", "cannot be opened: Protocol not known"),
        ("memory://nowhere/s.tar", "not a readable tar"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            iterate(url)
        assert str(caught.value).startswith(url)
    (item,) = iterate(["memory://root/a/1.png"])
    memory.rm("/root/a/1.png")
    with pytest.raises(ImageError, match=r"memory://root/a/1\.png: cannot be fetched: no such file"):
        item.load()
    ls = type(memory).ls

    def refuse(self: Any, path: str, **options: Any) -> Any:
        if path == "/root/a":
            raise PermissionError("denied")
        return ls(self, path, **options)

    monkeypatch.setattr(type(memory), "ls", refuse)
    *good, bad = open_source("memory://root")
    assert [item.id for item in good] == [f"memory:///root/{name}" for name in ORDER[2:]]
    with pytest.raises(ImageError, match="memory:///root/a: the folder cannot be listed: PermissionError: denied"):
        bad.load()


def test_a_network_that_is_away_for_a_moment(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "PAUSES", (0.0, 0.0))
    cat, calls = type(memory).cat_file, []

    def fails(times: int, error: Exception) -> Any:
        def read(self: Any, path: str, **options: Any) -> bytes:
            calls.append(path)
            if len(calls) <= times:
                raise error
            return cat(self, path, **options)

        return read

    (item,) = open_source("memory://root/a/1.png")
    for times, error, tries in (
        (2, TimeoutError("busy"), 3),
        (3, TimeoutError("busy"), 3),
        (1, PermissionError("no"), 1),
    ):
        calls.clear()
        monkeypatch.setattr(type(memory), "cat_file", fails(times, error))
        if times == 2:
            assert item.load().getpixel((0, 0)) == (1, 0, 0)
        else:
            with pytest.raises(ImageError, match=r"busy|no"):
                item.load()
        assert len(calls) == tries


def test_remote_tars_and_lists(memory: Any, tmp_path: Path) -> None:
    items = list(open_source("memory://tars/s.tar"))
    assert [item.id for item in items] == ["memory://tars/s.tar!7.png", "memory://tars/s.tar!8.png"]
    assert levels(items) == [7, 8] and items[0].stamp() is not None
    memory.pipe("/lists/l.txt", b"1.png\nsub/4.png\nmemory://root/b/2.png\n")
    memory.pipe("/lists/1.png", png(1)), memory.pipe("/lists/sub/4.png", png(4))
    assert levels(read_arguments([], "memory://lists/l.txt")) == [1, 4, 2]
    (tmp_path / "l.csv").write_text("url\nmemory://root/b/2.png\n")
    assert levels(read_arguments(["memory://root/a"], tmp_path / "l.csv")) == [1, 4, 2]


def test_urls_are_told_from_paths() -> None:
    assert is_url("s3://b/x.jpg") and is_url("https://h/x.jpg") and is_url("HF://datasets/o/n")
    assert not any(is_url(place) for place in ("a/b.jpg", "C://x", "://x", "file:///tmp/x.jpg", "photos:/x"))


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(png(3))
    (item,) = open_source(f"file://{tmp_path}/a%20b.png")
    assert item.id == str(tmp_path / "a b.png") and levels([item]) == [3]


@pytest.fixture()
def web(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("aiohttp")
    for name, value in FILES.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(value))
    (tmp_path / "photos/note.txt").write_text("x")
    (tmp_path / "s.tar").write_bytes(tar(7, 8))

    with served(tmp_path) as address:
        yield address


def test_over_http(web: str, tmp_path: Path) -> None:
    source = open_source(f"{web}/photos/")
    items = list(source)
    assert [item.id for item in items] == [f"{web}/photos/{name}" for name in ORDER]
    assert levels(items) == [FILES[name] for name in ORDER] and source.skipped == {".txt": 1}
    (tmp_path / "l.txt").write_text(f"{web}/photos/b/2.png\n{web}/photos/gone.png\n")
    failed: list[ImageError] = []
    inputs = read_arguments([f"{web}/s.tar", f"{web}/photos/a/1.png?size=large"], tmp_path / "l.txt")
    got = [name for batch in batches(inputs, build_preprocess(16), 4, 2, failed.append) for name in batch.ids]
    assert got == [
        f"{web}/s.tar!7.png",
        f"{web}/s.tar!8.png",
        f"{web}/photos/a/1.png?size=large",
        f"{web}/photos/b/2.png",
    ]
    assert [(error.path, "no such file" in error.reason) for error in failed] == [(f"{web}/photos/gone.png", True)]


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, Any]]:
    """An object store with S3's interface, and what s3fs must know to reach it."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "test", "secret": "test", "endpoint_url": f"http://{host}:{port}"}
    yield options
    server.stop()


def test_in_an_object_store(store: dict[str, Any]) -> None:
    system = fsspec.filesystem("s3", **store)
    system.mkdir("bucket")
    for name, value in FILES.items():
        system.pipe(f"bucket/root/{name}", png(value))
    system.pipe("bucket/root/note.txt", b"x")
    system.pipe("bucket/shards/0.tar", tar(7, 8))
    source = read_arguments(["s3://bucket/root", "s3://bucket/shards/0.tar"], storage=store)
    items = list(source)
    tars = ["s3://bucket/shards/0.tar!7.png", "s3://bucket/shards/0.tar!8.png"]
    assert [item.id for item in items] == [*(f"s3://bucket/root/{name}" for name in ORDER), *tars]
    assert levels(items) == [*(FILES[name] for name in ORDER), 7, 8] and source.skipped == {".txt": 1}
    assert "secret" not in repr(items[0])
    etag, size = items[0].stamp()
    assert len(etag.strip('"')) == 32 and size == len(png(1))
    system.pipe("bucket/root/a/1.png", png(99))
    changed = list(source)
    assert [a.id for a, b in zip(items, changed, strict=True) if a.stamp() != b.stamp()] == [items[0].id]
    assert levels(changed[:1]) == [99]
    with pytest.raises(InputError, match="s3://bucket/nothing: no such file or folder"):
        iterate(open_source("s3://bucket/nothing", storage=store))
