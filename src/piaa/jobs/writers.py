"""Finished rows become one file: `.jsonl`, `.csv` or `.parquet` by the ending."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from piaa.errors import InputError

Row = dict[str, Any]
"""`path`, `labels` [{label, score}], and `scores` {label: score} where all are wanted."""


def writer_for(path: Path) -> Callable[[Path, Iterable[Row]], None]:
    """The writer by the file's ending.

    Raises:
        InputError: for any other ending.
    """
    writers = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    if path.suffix.lower() not in writers:
        raise InputError(f"{path}: the ending decides the format; end it in {', '.join(writers)}")
    return writers[path.suffix.lower()]


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write aside, then rename: a half-written file never has the final name."""
    writer = writer_for(path)
    aside = path.with_name(f".{path.name}.partial")
    try:
        writer(aside, rows)
        os.replace(aside, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        aside.unlink(missing_ok=True)


def _jsonl(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _csv(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        header: list[str] | None = None
        for row in rows:
            if header is None:
                header = ["path", "labels", "label_scores", *row.get("scores", {})]
                writer.writerow(header)
            found = row["labels"]
            writer.writerow([
                row["path"],
                ";".join(entry["label"] for entry in found),
                ";".join(f"{entry['score']:.4f}" for entry in found),
                *row.get("scores", {}).values(),
            ])  # fmt: skip
        if header is None:
            writer.writerow(["path", "labels", "label_scores"])


def _parquet(path: Path, rows: Iterable[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    label = pa.struct([("label", pa.string()), ("score", pa.float64())])
    fields = [("path", pa.string()), ("labels", pa.list_(label))]
    stream = iter(rows)
    first = next(stream, None)
    if first is not None and "scores" in first:
        fields.append(("scores", pa.struct([(name, pa.float64()) for name in first["scores"]])))
    schema = pa.schema(fields)
    with pq.ParquetWriter(str(path), schema) as writer:
        for group in _groups(stream, first, 4096):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _groups(stream: Iterator[Row], first: Row | None, size: int) -> Iterator[list[Row]]:
    group = [] if first is None else [first]
    for row in stream:
        group.append(row)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
