"""`gs://` and `hf://`, against servers on this machine that answer as Google's store and the hub do."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from source_helpers import png, shard
from stand_ins import google, hub, serving

from piaa.errors import ImageError, InputError
from piaa.inputs.items import Item, open_source, read_arguments
from piaa.inputs.sources import named_items

FILES = {"b/2.png": 2, "a/1.png": 1, "a.b/3.png": 3, "a/sub/4.png": 4, ".hidden/5.png": 5, "a/.6.png": 6}
ORDER = ["a/1.png", "a/sub/4.png", "a.b/3.png", "b/2.png"]
Place = tuple[str, dict[str, Any], dict[str, bytes], str]


def tree(begin: str, folder: Path) -> dict[str, bytes]:
    shard(folder / "s.tar", [("x/7.png", png(7)), ("x/8.png", png(8))])
    images = {f"{begin}/root/{name}": png(value) for name, value in FILES.items()}
    return {**images, f"{begin}/root/note.txt": b"x", f"{begin}/s.tar": (folder / "s.tar").read_bytes()}


@pytest.fixture(params=["gs", "hf"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A root, what its file system must know, and the files that the server has."""
    if request.param == "gs":
        monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # which asks over gRPC, in TLS
        pytest.importorskip("gcsfs")
        files = tree("bucket", tmp_path)
        with serving(google, files) as url:
            yield "gs://bucket", {"token": "anon", "endpoint_url": url}, files, "bucket"
        return
    files = tree("org/name", tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with serving(hub, files) as url:
        yield "hf://datasets/org/name", {"token": False, "endpoint": url}, files, "org/name"


def levels(items: list[Item]) -> list[int]:
    return [item.load().getpixel((0, 0))[0] for item in items]


def test_a_folder_a_file_and_a_tar(place: Place) -> None:
    root, storage, _, _ = place
    source = read_arguments([f"{root}/root", f"{root}/s.tar", f"{root}/root/a/.6.png"], storage=storage)
    items = list(source)
    assert [item.id for item in items] == [
        *(f"{root}/root/{name}" for name in ORDER),
        f"{root}/s.tar!x/7.png",
        f"{root}/s.tar!x/8.png",
        f"{root}/root/a/.6.png",
    ]
    assert levels(items) == [1, 4, 3, 2, 7, 8, 6]
    assert source.skipped == {".txt": 1}
    assert source.below(items[1].id)[0] == "a/sub/4.png"
    assert "x/7.png" in source.below(items[4].id)


def test_an_unchanged_file_keeps_its_stamp_and_a_changed_one_does_not(place: Place) -> None:
    root, storage, files, begin = place
    source = read_arguments([f"{root}/root"], storage=storage)
    before = {item.id: item.stamp() for item in source}
    assert all(before.values())
    files[f"{begin}/root/a/1.png"] = png(99)
    files[f"{begin}/root/a/9.png"] = png(9)
    after = {item.id: item.stamp() for item in read_arguments([f"{root}/root"], storage=storage)}
    assert after.keys() - before.keys() == {f"{root}/root/a/9.png"}
    assert [name for name in before if before[name] != after[name]] == [f"{root}/root/a/1.png"]


def test_what_is_not_there(place: Place) -> None:
    root, storage, files, begin = place
    other = root.replace("bucket", "nobucket").replace("org/name", "org/nothing")
    for url in (f"{root}/nothing", f"{other}/root"):
        with pytest.raises(InputError, match="no such file or folder"):
            list(open_source(url, storage=storage))
    items = list(open_source(f"{root}/root", storage=storage))
    del files[f"{begin}/root/b/2.png"]
    with pytest.raises(ImageError, match=r"b/2\.png: cannot be fetched: no such file"):
        items[-1].load()
    assert levels(items[:-1]) == [1, 4, 3]


def test_one_image_of_a_tar_by_its_name(place: Place) -> None:
    root, storage, _, _ = place
    (item,) = open_source(f"{root}/s.tar!x/8.png", storage=storage)
    assert item.id == f"{root}/s.tar!x/8.png" and levels([item]) == [8]
    with pytest.raises(InputError, match=r"s\.tar!x/9\.png: no such image in .*s\.tar"):
        list(open_source(f"{root}/s.tar!x/9.png", storage=storage))


def test_shards_of_a_data_set_as_the_hub_has_them(place: Place) -> None:
    root, storage, files, begin = place
    for number in range(2):
        rows = [{"bytes": png(10 * number + row), "path": f"{row}.png"} for row in range(3)]
        table = pa.table({"image": rows, "label": [0, 1, 2]})
        stream = io.BytesIO()
        pq.write_table(table, stream)
        files[f"{begin}/data/train-{number:05d}-of-00002.parquet"] = stream.getvalue()
    shards = [f"{root}/data/train-{number:05d}-of-00002.parquet" for number in range(2)]
    items = list(read_arguments(shards, storage=storage))
    assert levels(items) == [0, 1, 2, 10, 11, 12]
    assert [item.id for item in items[:3]] == [f"{shards[0]}!row-{row}" for row in range(3)]
    assert levels(list(read_arguments([], shards[1], storage=storage))) == [10, 11, 12]
    every = list(read_arguments([f"{root}/data/*.parquet"], storage=storage))
    assert levels(every) == [0, 1, 2, 10, 11, 12]


@pytest.mark.parametrize("kind", ["gs", "hf"])
def test_by_the_environment_alone(kind: str, tmp_path: Path) -> None:
    """As a user names another server: STORAGE_EMULATOR_HOST, HF_ENDPOINT."""
    if kind == "gs":
        pytest.importorskip("gcsfs")
    begin = "bucket" if kind == "gs" else "org/name"
    files = {f"{begin}/root/{number}.png": _picture(number) for number in range(3)}
    program = (
        "from piaa.inputs.sources import read_arguments\n"
        "import sys\n"
        "for item in read_arguments([sys.argv[1]]):\n"
        "    print(item.id, item.load().size)\n"
    )
    with serving(google if kind == "gs" else hub, files) as url:
        settings = {"STORAGE_EMULATOR_HOST": url, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false", "HF_ENDPOINT": url}
        ours = {**os.environ, **settings, "HF_HUB_OFFLINE": "0"}
        if kind == "gs":
            ours["FSSPEC_GS_TOKEN"] = "anon"
        root = "gs://bucket/root" if kind == "gs" else "hf://datasets/org/name/root"
        done = subprocess.run(
            [sys.executable, "-c", program, root], env=ours, capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{root}/{number}.png ({8 + number}, 4)" for number in range(3)]


def _picture(number: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8 + number, 4)).save(stream, "PNG")
    return stream.getvalue()


def test_images_by_their_ids(tmp_path: Path) -> None:
    shard(tmp_path / "s.tar", [("x/7.png", png(7)), ("x/8.png", png(8)), ("x/8.png", png(9))])
    shard(tmp_path / "c.tar.gz", [("5.png", png(5))], "w:gz")
    (tmp_path / "a!b.png").write_bytes(png(3))
    pq.write_table(pa.table({"bytes": [png(20), png(21)]}), tmp_path / "t.parquet")
    names = [
        f"{tmp_path}/t.parquet!row-1",
        f"{tmp_path}/s.tar!x/8.png!2",
        f"{tmp_path}/a!b.png",
        f"{tmp_path}/s.tar!x/7.png",
        f"{tmp_path}/c.tar.gz!5.png",
    ]
    found = {item.id: item for item in named_items([*names, f"{tmp_path}/s.tar!no.png", f"{tmp_path}/gone.png"])}
    assert levels([found[name] for name in names]) == [21, 9, 3, 7, 5]
    for name, reason in ((f"{tmp_path}/s.tar!no.png", "no such image"), (f"{tmp_path}/gone.png", "no such")):
        with pytest.raises(ImageError, match=reason):
            found[name].load()
    for name in names:
        (item,) = open_source(name)
        assert item.id == name and item.load().getpixel((0, 0)) == found[name].load().getpixel((0, 0))
        assert item.stamp() == found[name].stamp()


def test_a_data_set_of_parquet_shards_on_disk(tmp_path: Path) -> None:
    """As `datasets` or a clone of the hub leaves it, one shard of it damaged."""
    datasets = pytest.importorskip("datasets")
    pictures = [Image.new("RGB", (4, 4), (value, 0, 0)) for value in range(6)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int32")})
    whole = datasets.Dataset.from_dict({"image": pictures, "label": list(range(6))}, features=features)
    (tmp_path / "data").mkdir()
    for number in range(3):
        whole.shard(3, number, contiguous=True).to_parquet(tmp_path / f"data/train-{number:05d}-of-00003.parquet")
    source = read_arguments([f"{tmp_path}/data/*.parquet"])
    items = list(source)
    assert levels(items) == [0, 1, 2, 3, 4, 5]
    assert items[2].id == f"{tmp_path}/data/train-00001-of-00003.parquet!row-0"
    assert source.below(items[2].id)[-1] == "row-0"
    assert levels(list(read_arguments([f"{tmp_path}/data/train-00001-of-00003.parquet"]))) == [2, 3]
    loaded = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "data/*.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert levels(list(open_source(loaded))) == [0, 1, 2, 3, 4, 5]
    (tmp_path / "data/train-00001-of-00003.parquet").write_bytes(b"PAR1 no")
    good, bad = [], []
    for item in read_arguments([f"{tmp_path}/data/*.parquet"]):
        (bad if isinstance(item.source, ImageError) else good).append(item)
    assert levels(good) == [0, 1, 4, 5]
    assert "damaged" in bad[0].source.reason
    assert [item.id for item in bad] == [f"{tmp_path}/data/train-00001-of-00003.parquet"]


def test_a_damaged_tar_among_several_costs_its_own_images_alone(tmp_path: Path) -> None:
    for number in range(3):
        shard(tmp_path / f"{number}.tar", [(f"{number}.png", png(number))])
    (tmp_path / "1.tar").write_bytes(b"no tar" * 200)
    items = list(read_arguments([f"{tmp_path}/*.tar"]))
    assert [item.id for item in items] == [f"{tmp_path}/0.tar!0.png", f"{tmp_path}/1.tar", f"{tmp_path}/2.tar!2.png"]
    with pytest.raises(ImageError, match="not a readable tar"):
        items[1].load()
