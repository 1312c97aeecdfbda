"""Folders and patterns: their order, and that nothing is listed before its turn."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from source_helpers import names, png, put

from piaa.errors import ImageError, InputError
from piaa.inputs.items import iterate, list_folder, open_source

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
