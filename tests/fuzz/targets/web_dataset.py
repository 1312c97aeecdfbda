"""WebDataset shards: tar files with images and labels in all forms; images are fetched too."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from PIL import Image

from piaa.datasets.base import assemble
from piaa.datasets.web_dataset import read_web_dataset
from piaa.errors import ImageError

from ..harness import Seed, Target


def seeds(folder: Path) -> list[Seed]:
    (folder / "labels.txt").write_text("cat\ndog\n")
    labels = {"json": b'{"labels": ["cat", "dog"]}', "txt": b"cat;dog", "cls": b"0 1"}
    shards = [_tar({f"a/{kind}.{kind}": data, f"a/{kind}.jpg": _jpeg()}) for kind, data in labels.items()]
    shards += [_tar({"x.jpg": _jpeg(), "x.json": b"[1]"}, kind) for kind in (tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT)]
    (folder / "train.tar").write_bytes(shards[0])
    return [Seed(shard) for shard in shards]


def read(data: bytes, suffix: str, folder: Path) -> None:
    (folder / "test.tar").write_bytes(data)
    dataset = assemble("web", read_web_dataset(folder))
    for item in dataset.test[:20]:
        try:
            item.load()
        except ImageError:
            continue


def _jpeg() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(stream, "JPEG")
    return stream.getvalue()


def _tar(members: dict[str, bytes], kind: int = tarfile.GNU_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:", format=kind) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.pax_headers = {"comment": "words"} if kind == tarfile.PAX_FORMAT else {}
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


TARGET = Target("web-dataset", seeds, read, share=1.5)
