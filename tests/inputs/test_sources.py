"""Several sources at once, data sets, and each source through batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from source_helpers import names, png, put, shard

from piaa.errors import ImageError, InputError
from piaa.inputs.items import batches, iterate, open_source, read_arguments
from piaa.vision.preprocess import build_preprocess

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
