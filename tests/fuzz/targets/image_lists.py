"""Lists of images (`--list`), in their four kinds, and tars that hold images; what they name is fetched too."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from piaa.errors import ImageError
from piaa.inputs.sources import read_arguments

from ..harness import Seed, Target


def seeds(folder: Path) -> list[Seed]:
    (folder / "a.png").write_bytes(_png())
    image = base64.b64encode(_png()).decode()
    rows = [json.dumps("a.png"), json.dumps({"path": "b", "image": image}), json.dumps({"url": "memory://x/a.png"})]
    return [
        Seed(b"a.png\r\nno such.png\nmemory://x/a.png\n", ".txt"),
        Seed(b"a.png\0/no\nsuch.png\0", ".txt"),
        Seed(b'path,labels\na.png,cat\n"a,b.png",dog\n', ".csv"),
        Seed("\n".join(rows).encode(), ".jsonl"),
        *(Seed(data, ".parquet") for data in _tables(folder)),
    ]


def read(data: bytes, suffix: str, folder: Path) -> None:
    path = folder / f"case{suffix}"
    path.write_bytes(data)
    for item in islice(read_arguments([], path), 20):
        item.stamp()
        try:
            item.load()
        except ImageError:
            continue


def _tables(folder: Path) -> Iterator[bytes]:
    struct = [{"bytes": _png(), "path": "x.png"}, {"bytes": None, "path": "a.png"}]
    for columns in (
        {"path": ["a.png", None]},
        {"image": struct},
        {"bytes": [_png(), b""], "path": ["x", "y"]},
    ):
        pq.write_table(pa.table(columns), folder / "seed.parquet")
        yield (folder / "seed.parquet").read_bytes()


def _png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(stream, "PNG")
    return stream.getvalue()


TARGET = Target("image-lists", seeds, read)
