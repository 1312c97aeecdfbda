"""A folder of Parquet parts: a row for every image, failed ones too, and the manifest as the last file.

Columns (layout `piaa-tags` 1): path, labels (list of {label, score}), scores (list of C float, in the order of the
metadata's `classes`; with all scores), embedding (list of d float, raw [CLS]; with embeddings), width, height, bytes,
modified (time of the file's last change), stamp (by which an update knows an unchanged image), content_hash (with
content hashes), tagged (when the run that tagged it began), error (why it failed), gone (whether the image was no
longer there at an update). Where the classifier tests for it: foreign (whether the image is unlike those of the fit).

A part holds the rows of some consecutive shards. Its metadata say of which and how many rows each has, so that parts
of several machines can be put in the order of one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from piaa.errors import InputError
from piaa.files import parse_json, sync, whole_file, write_json, writing
from piaa.jobs.common import Record
from piaa.jobs.formats import FOREIGN, Row
from piaa.jobs.formats.parquet import LABELS
from piaa.jobs.layout import FOLDER, Layout
from piaa.jobs.manifest import MANIFEST

SHARDS_A_PART = 16
LONGEST = 240
"""Characters of a partition's value at most; a folder's name may have 255 bytes."""
BLOCKS = b"piaa.blocks"
ABOUT = b"piaa"
NEEDED = ("path", "labels", "error", "gone")
"""Columns that every part has."""

Block = tuple[int, pa.Table]
"""Number of a shard, and rows of it."""


@dataclass(frozen=True)
class Parts:
    """Where parts go and what they hold.

    Attributes:
        folder: it is there.
        about: provenance, the same in every part.
        layout: the columns.
        generation: 0 of a run, counted on by updates; in the names of the parts.
    """

    folder: Path
    about: dict[str, Any]
    layout: Layout
    generation: int = 0

    def schema(self) -> pa.Schema:
        """The columns, embeddings as wide as they come."""
        layout, classes = self.layout, len(self.about["classes"])
        moment = pa.timestamp("us", "UTC")
        return pa.schema(
            [
                ("path", pa.string()),
                ("labels", LABELS),
                *([("scores", pa.list_(pa.float32(), classes))] if layout.all_scores else []),
                *([("embedding", pa.list_(pa.float32()))] if layout.embeddings else []),
                *([(FOREIGN, pa.bool_())] if self.about.get(FOREIGN) else []),
                *((name, pa.int32()) for name in ("width", "height")),
                ("bytes", pa.int64()),
                ("modified", moment),
                ("stamp", pa.string()),
                *([("content_hash", pa.string())] if layout.content_hash else []),
                ("tagged", moment),
                ("error", pa.string()),
                ("gone", pa.bool_()),
            ]
        )

    def table(self, records: Sequence[Record], moment: int) -> pa.Table:
        """The records of a shard as a table; `moment` is when, in seconds."""
        schema = self.schema()
        columns = [[self._value(record, name, moment) for record in records] for name in schema.names]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _value(self, record: Record, name: str, moment: int) -> Any:
        given: dict[str, Any] = {
            "tagged": moment * 1_000_000,
            "error": record.get("reason"),
            "gone": False,
            "labels": [],
        }
        value = record.get(name, given.get(name))
        if value is None:
            return None
        if name == "scores":
            return [value[each] for each in self.about["classes"]]
        return unpacked(value) if name == "embedding" else value

    def write(self, blocks: Iterable[Block]) -> list[dict[str, Any]]:
        """Parts of blocks in ascending order; what the manifest says of each."""
        written = []
        for group, several in groupby(blocks, key=lambda block: block[0] // SHARDS_A_PART):
            for place, members in self._places(list(several)).items():
                name = f"part-{self.generation:03d}-{group:05d}.parquet"
                written.append(self.write_part(f"{place}/{name}" if place else name, members))
        return written

    def _places(self, blocks: list[Block]) -> dict[str, list[Block]]:
        """The blocks by the folder of their part, each cut by its rows' values."""
        if self.layout.partition != FOLDER:
            key, _, value = self.layout.partition.partition("=")
            return {f"{key}={quote(value, safe='')}" if key else "": blocks}
        places: dict[str, list[Block]] = {}
        for number, table in blocks:
            names = [PurePath(path).parent.name for path in table.column("path").to_pylist()]
            for name in dict.fromkeys(names):
                rows = pa.array([each == name for each in names])
                place = f"folder={_value(name)}"
                places.setdefault(place, []).append((number, table.filter(rows)))
        return dict(sorted(places.items()))

    def write_part(self, name: str, blocks: Sequence[Block]) -> dict[str, Any]:
        """One part under that name; what the manifest says of it."""
        rows = [[number, len(table)] for number, table in blocks]
        schema = self.schema()  # rows that were read from a part name the fields inside their lists otherwise
        tables = [table.replace_schema_metadata(None).cast(schema) for _, table in blocks]
        whole = pa.concat_tables(tables).combine_chunks()
        about = json.dumps(self.about, ensure_ascii=False).encode()
        whole = whole.replace_schema_metadata({ABOUT: about, BLOCKS: json.dumps(rows).encode()})
        path = self.folder / name
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as aside:
            pq.write_table(whole, aside, compression="zstd")
        gone = sum(whole.column("gone").to_pylist())
        failed = sum(
            error is not None and not away
            for error, away in zip(whole.column("error").to_pylist(), whole.column("gone").to_pylist(), strict=True)
        )
        counts = {"rows": len(whole), "failed": failed, "gone": gone}
        if self.about.get(FOREIGN):
            flags = zip(whole.column(FOREIGN).to_pylist(), whole.column("gone").to_pylist(), strict=True)
            counts[FOREIGN] = sum(bool(foreign) and not away for foreign, away in flags)
        return {"path": name, **counts, **_sum_of(path)}


def _value(name: str) -> str:
    """The value of a folder's partition: percent-encoded, and as long as a folder's name may be.

    A longer one ends in a hash, so that two folders are two.
    """
    value = quote(name, safe="")
    if len(value) > LONGEST:
        hashed = hashlib.blake2b(value.encode(), digest_size=8).hexdigest()
        value = f"{quote(name[: (LONGEST - 17) // 12], safe='')}-{hashed}"  # a character takes 12 at most
    return value or "__HIVE_DEFAULT_PARTITION__"


def _sum_of(path: Path) -> dict[str, Any]:
    with open(path, "rb") as stream:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def packed(vector: Any) -> str:
    """A vector of float32 as text, bit by bit."""
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()


def unpacked(text: str) -> Any:
    """What `packed` was given."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4")


def read_blocks(path: Path) -> list[Block]:
    """The blocks of a part, in its order.

    Raises:
        InputError: it cannot be read, or is no part.
    """
    numbers = read_numbers(path)
    try:
        table = pq.read_table(path, partitioning=None)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: a part that cannot be read: {error}") from error
    blocks, at = [], 0
    for number, rows in numbers:
        blocks.append((number, table.slice(at, rows)))
        at += rows
    return blocks


def read_numbers(path: Path) -> list[tuple[int, int]]:
    """The number and the rows of each block of a part.

    Raises:
        InputError: it cannot be read, or is no part.
    """
    try:
        with pq.ParquetFile(path) as opened:
            schema, rows = opened.schema_arrow, opened.metadata.num_rows
        if missing := [name for name in NEEDED if name not in schema.names]:
            raise ValueError(f"no column {missing[0]}")
        numbers = [(int(number), int(count)) for number, count in parse_json((schema.metadata or {})[BLOCKS])]
        if sum(count for _, count in numbers) != rows or any(min(each) < 0 for each in numbers):
            raise ValueError("its blocks are not its rows")
    except (OSError, TypeError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: a part that cannot be read: {error}") from error
    return numbers


def rows_of(table: pa.Table, classes: Sequence[str]) -> Iterator[Row]:
    """Rows for a table of another format: without what failed or is gone."""
    for value in table.to_pylist():
        if value["error"] is None and not value["gone"]:
            row: Row = {"path": value["path"], "labels": value["labels"]}
            if FOREIGN in value:
                row[FOREIGN] = value[FOREIGN]
            if "scores" in value:
                row["scores"] = {name: round(score, 6) for name, score in zip(classes, value["scores"], strict=True)}
            yield row


def commit(new: Path, out: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest into a folder of new parts, and give the folder the output's name.

    An output of before is moved away first and removed last: `recover` ends what was cut off in between.
    """
    for folder in {new, *(path.parent for path in new.rglob("*.parquet"))}:
        sync(folder)
    write_json(new / MANIFEST, manifest)
    with writing(out):
        if out.exists():
            os.replace(out, new.with_name("old"))
        os.replace(new, out)
    sync(out.parent)


def recover(new: Path, out: Path) -> bool:
    """End a commit that was cut off between its two moves; whether there was one."""
    if out.exists() or not (new / MANIFEST).exists():
        return False
    with writing(out):
        os.replace(new, out)
    sync(out.parent)
    return True


def carry(source: Path, target: Path) -> None:
    """The same part in another folder, without a copy where the disk allows."""
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)
