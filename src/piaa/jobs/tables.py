"""Rows of tags to `.jsonl`, `.csv` or `.parquet`, by the ending of the output.

    .jsonl    {"path": ..., "labels": [{"label": ..., "score": ...}, ...], "scores": {label: score, ...}}
    .csv      path, labels (`a;b`), label_scores (`0.9;0.6`), then a column `score:NAME` for each class
    .parquet  path, labels (list of {label, score}), then a column `score:NAME` for each class

What holds all classes is there only if all scores were asked for. Labels come best first.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from piaa.errors import InputError
from piaa.files import check_place

Row = dict[str, Any]
Shards = Iterable[list[Row]]
Writer = Callable[[Path, Shards, Sequence[str]], None]


def output_endings() -> list[str]:
    """The endings that can be written."""
    return sorted(_WRITERS)


def check_output(out: str | os.PathLike[str], label_names: Sequence[str] = ()) -> Path:
    """Refuse an output that could not be written, before any work is done for it.

    Args:
        out: the output file.
        label_names: C classes.

    Raises:
        InputError: unknown ending, no such folder, a folder of that name, or labels that a CSV cannot hold.
    """
    path = Path(out)
    if path.suffix.lower() not in _WRITERS:
        raise InputError(f"{path}: the ending says how to write; use one of {', '.join(output_endings())}")
    check_place(path)
    with_separator = [name for name in label_names if ";" in name]
    if path.suffix.lower() == ".csv" and with_separator:
        raise InputError(
            f"{path}: the class name {with_separator[0]!r} holds a `;`, which separates labels in a CSV; "
            "write .jsonl or .parquet"
        )
    return path


def write_table(path: Path, suffix: str, shards: Shards, score_columns: Sequence[str]) -> None:
    """Write all rows, shard by shard, so that memory stays small.

    Args:
        path: the file, whatever its own ending.
        suffix: a member of `output_endings()`.
        shards: lists of rows `{"path", "labels": [{"label", "score"}], "scores": {label: score}}`.
        score_columns: classes whose scores are written for every image; may be empty.
    """
    _WRITERS[suffix.lower()](path, shards, score_columns)


def _jsonl(path: Path, shards: Shards, score_columns: Sequence[str]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        for rows in shards:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _csv(path: Path, shards: Shards, score_columns: Sequence[str]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["path", "labels", "label_scores", *(f"score:{name}" for name in score_columns)])
        for rows in shards:
            for row in rows:
                names = ";".join(entry["label"] for entry in row["labels"])
                scores = ";".join(str(entry["score"]) for entry in row["labels"])
                writer.writerow([row["path"], names, scores, *(row["scores"][n] for n in score_columns)])


def _parquet(path: Path, shards: Shards, score_columns: Sequence[str]) -> None:
    labels = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())]))
    scores = [(f"score:{name}", pa.float64()) for name in score_columns]
    schema = pa.schema([("path", pa.string()), ("labels", labels), *scores])
    with pq.ParquetWriter(path, schema) as writer:
        for rows in shards:
            columns = [[row["path"] for row in rows], [row["labels"] for row in rows]]
            columns += [[row["scores"][name] for row in rows] for name in score_columns]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


_WRITERS: dict[str, Writer] = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
