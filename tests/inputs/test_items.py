"""Folders as they come, streams of anything, and batches that stay small and in order."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from piaa.errors import ImageError, InputError
from piaa.inputs.items import Item, batches, iterate, list_folder
from piaa.vision.preprocess import Preprocess


def put(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (value, 0, 0)).save(path, "PNG")
    return path


def tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()


def test_folder_order_names_and_what_is_left_out(tmp_path: Path) -> None:
    names = [
        "a.png",
        "b/c.JPG",
        "b/d/e.webp",
        "b.png",
        "写真/雪.png",
        "Ünï cödé/ä b.jpeg",
        "مجلد/صورة.bmp",
        "z.tiff",
    ]
    for name in names:
        put(tmp_path / name)
    for name in (".hidden.png", ".cache/x.png"):
        put(tmp_path / name)
    for name in ("notes.txt", "b/more.TXT", "README"):
        (tmp_path / name).write_text("x")
    listing = list_folder(tmp_path)
    expected = sorted(names, key=lambda name: [part.encode() for part in name.split("/")])
    assert [str(path.relative_to(tmp_path)) for path in listing.paths] == expected
    assert listing.skipped == {".txt": 2, "": 1} and listing.unreadable == []
    assert [item.id for item in iterate(tmp_path)] == [str(tmp_path / name) for name in expected]
    assert all(item.load().size == (4, 4) for item in iterate(str(tmp_path)))


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    source = put(tmp_path / "x.png")
    try:
        os.rename(source, os.fsencode(tmp_path) + b"/\xff\xfe.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (item,) = iterate(tmp_path)
    assert item.id.endswith("\\xff\\xfe.png") and item.id.encode()
    assert item.load().size == (4, 4)


def test_link_loops_end_and_links_are_followed(tmp_path: Path) -> None:
    put(tmp_path / "a/x.png")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "a/self").symlink_to(tmp_path / "a/self")
    (tmp_path / "a/here").symlink_to(".")
    put(tmp_path.parent / f"{tmp_path.name}-outside/y.png")
    (tmp_path / "linked").symlink_to(tmp_path.parent / f"{tmp_path.name}-outside")
    (tmp_path / "link.png").symlink_to("a/x.png")
    (tmp_path / "dangling.png").symlink_to("nowhere.png")
    found = [str(path.relative_to(tmp_path)) for path in list_folder(tmp_path).paths]
    assert found == ["a/x.png", "dangling.png", "link.png", "linked/y.png"]


def test_a_nested_folder_that_cannot_be_listed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a/x.png"), put(tmp_path / "locked/y.png")
    scandir = os.scandir

    def refuse(path: Path):  # as root, no mode keeps us out
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    good, bad = iterate(tmp_path)
    assert good.id == str(tmp_path / "a/x.png")
    with pytest.raises(ImageError, match=r"locked: the folder cannot be listed: Permission denied"):
        bad.load()
    with pytest.raises(InputError, match="cannot be listed"):
        iterate(tmp_path / "locked")


def test_globs_files_and_errors(tmp_path: Path) -> None:
    put(tmp_path / "a/1.png"), put(tmp_path / "a/b/2.png"), put(tmp_path / "odd[1].png")
    (tmp_path / "a/x.txt").write_text("x")
    assert [Path(item.id).name for item in iterate(f"{tmp_path}/a/**/*")] == ["1.png", "2.png"]
    assert [item.id for item in iterate(tmp_path / "odd[1].png")] == [str(tmp_path / "odd[1].png")]
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/x.txt").write_text("x")
    for bad, message in (
        (tmp_path / "nowhere", "no such file or folder"),
        (tmp_path / "empty", r"no image in this folder \(1 files"),
        (f"{tmp_path}/*.gif", "no image matches"),
        (42, "a int holds no images"),
    ):
        with pytest.raises(InputError, match=message):
            iterate(bad)


def test_members_of_every_kind(tmp_path: Path) -> None:
    path = put(tmp_path / "x.png", 9)
    pixels = np.full((4, 4, 3), 9, np.uint8)
    pixels[..., 1:] = 0
    members = [path, str(path), Image.fromarray(pixels), pixels, torch.from_numpy(pixels).permute(2, 0, 1)]
    items = list(iterate(members))
    assert [item.id for item in items] == [str(path)] * 2 + ["image-2", "image-3", "image-4"]
    assert all((np.asarray(item.load()) == pixels).all() for item in items)
    stacked = torch.from_numpy(np.stack([pixels] * 3)).permute(0, 3, 1, 2)
    for many in (stacked, stacked.permute(0, 2, 3, 1).numpy(), stacked / 255, iter(list(stacked))):
        assert [item.id for item in iterate(many)] == ["image-0", "image-1", "image-2"]
    assert [item.id for item in iterate(stacked[0])] == ["image-0"]
    (missing, wrong) = iterate([tmp_path / "gone.png", 7])
    with pytest.raises(ImageError, match=r"gone.png: no such file"):
        missing.load()
    with pytest.raises(ImageError, match=r"image-1: a int is not an image"):
        wrong.load()


@settings(max_examples=25, deadline=None)
@given(
    bad=st.lists(st.booleans(), max_size=23),
    batch_size=st.integers(1, 7),
    workers=st.integers(0, 3),
    start=st.integers(0, 50),
)
def test_batches_are_a_partition_in_order(bad: list[bool], batch_size: int, workers: int, start: int) -> None:
    items = [Item(f"i{n}", b"" if broken else np.full((2, 2, 3), n, np.uint8)) for n, broken in enumerate(bad)]
    errors: list[ImageError] = []
    got = list(batches(items, tensor, batch_size, workers, errors.append, start=start))
    good = [n for n, broken in enumerate(bad) if not broken]
    assert [index - start for batch in got for index in batch.indices] == good
    assert [name for batch in got for name in batch.ids] == [f"i{n}" for n in good]
    assert [int(image[0, 0, 0]) for batch in got for image in batch.images] == good
    assert all(len(batch.ids) == batch_size for batch in got[:-1])
    assert [error.path for error in errors] == [f"i{n}" for n, broken in enumerate(bad) if broken]


def test_no_more_of_a_jpeg_is_decoded_than_the_model_sees(tmp_path: Path) -> None:
    Image.new("RGB", (1600, 1200), "red").save(tmp_path / "a.jpg")
    sizes: list[tuple[int, int]] = []

    class Watched(Preprocess):
        def __call__(self, image: Image.Image) -> torch.Tensor:
            sizes.append(image.size)
            return Preprocess.__call__(self, image)

    (batch,) = batches(iterate(tmp_path), Watched((96, 128)), workers=0)
    assert batch.images.shape == (1, 3, 96, 128) and sizes == [(400, 300)]
    (plain,) = batches(iterate(tmp_path), tensor, workers=0)  # of other preprocessing nothing is known
    assert plain.images.shape[-2:] == (1200, 1600)


def test_prefetch_is_bounded() -> None:
    drawn = 0

    def stream() -> Iterator[Item]:
        nonlocal drawn
        for n in range(1000):
            drawn += 1
            yield Item(f"i{n}", np.zeros((2, 2, 3), np.uint8))

    taken = 0
    for batch in batches(stream(), tensor, 5, 2):
        taken += len(batch.ids)
        assert drawn <= taken + 10  # two batches ahead, whatever the consumer's pace
        if taken >= 300:
            break
    assert drawn < 320


def test_leaving_early_ends_the_threads() -> None:
    before = threading.active_count()
    stream = batches((Item("x", np.zeros((2, 2, 3), np.uint8)) for _ in range(100)), tensor, 4, 3)
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_decoding_is_parallel_and_order_survives_it() -> None:
    def slow_for_even(image: Image.Image) -> Tensor:
        time.sleep(0.02 if image.getpixel((0, 0))[0] % 2 == 0 else 0)
        return tensor(image)

    items = [Item(str(n), np.full((2, 2, 3), n, np.uint8)) for n in range(24)]
    seconds = []
    for workers in (0, 8):
        begin = time.perf_counter()
        got = [name for batch in batches(items, slow_for_even, 6, workers) for name in batch.ids]
        seconds.append(time.perf_counter() - begin)
        assert got == [str(n) for n in range(24)]
    assert seconds[1] < seconds[0]


def test_errors_without_a_handler_and_bad_arguments() -> None:
    with pytest.raises(ImageError, match="x: an empty file"):
        list(batches([Item("x", b"")], tensor))
    for arguments in ((0, 1), (1, -1)):
        with pytest.raises(InputError, match="at least"):
            batches([], tensor, *arguments)


def test_a_recursive_glob_ends_in_spite_of_links_that_loop(tmp_path: Path) -> None:
    nested = tmp_path / "a" / "b"
    nested.mkdir(parents=True)
    (tmp_path / "a" / ".hidden").mkdir()
    for place in (tmp_path / "one.png", nested / "two.png", tmp_path / "a" / ".hidden" / "three.png"):
        Image.new("RGB", (4, 4)).save(place)
    for number in range(3):
        (nested / f"loop{number}").symlink_to(tmp_path, target_is_directory=True)
    found = [Path(item.id).name for item in iterate(str(tmp_path / "**" / "*.png"))]
    assert found == ["two.png", "one.png"]


def test_an_image_whose_preprocessing_fails_does_not_stop_the_others() -> None:
    def fussy(image: Image.Image) -> Tensor:
        if image.width == 3:
            raise ZeroDivisionError("three")
        return torch.zeros(3, 2, 2)

    errors: list[ImageError] = []
    pictures = [Image.new("RGB", (width, 2)) for width in (2, 3, 4)]
    [batch] = batches(iterate(pictures), fussy, 8, 2, errors.append)
    assert batch.indices == [0, 2]
    assert "ZeroDivisionError: three" in errors[0].reason
