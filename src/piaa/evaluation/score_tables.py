"""Scores of a run with the truth, image by image, in one Parquet file: what `piaa eval --scores` writes.

    path           the image, as the truth file names it
    truth          list of C whole numbers: 1 has the class, 0 has not, -1 does not count
    score:METHOD   list of C numbers, one column for each method
    decided        list of C true or false, PIAA's labels

The classes, in order, are in the file's metadata (`piaa`, JSON).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from piaa.errors import InputError
from piaa.files import check_place, parse_json, whole_file

VERSION = 1
PREFIX = "score:"


@dataclass(frozen=True)
class ScoreTable:
    """One run on N images.

    Attributes:
        paths: N, no two the same.
        label_names: C.
        labels: N x C, int64.
        scores: method to N x C, float.
        decided: N x C bool, or None.
    """

    paths: list[str]
    label_names: list[str]
    labels: Tensor
    scores: dict[str, Tensor]
    decided: Tensor | None = None

    def rows(self, images: list[int], classes: list[int]) -> ScoreTable:
        """Some images and classes of it, in the order given."""
        return ScoreTable(
            [self.paths[i] for i in images],
            [self.label_names[c] for c in classes],
            self.labels[images][:, classes],
            {method: scores[images][:, classes] for method, scores in self.scores.items()},
            None if self.decided is None else self.decided[images][:, classes],
        )


def check_score_file(path: str | os.PathLike[str]) -> Path:
    """Refuse a file that could not be written, before any work is done for it.

    Raises:
        InputError: another ending than .parquet, no such folder, a folder of that name.
    """
    out = Path(path)
    if out.suffix.lower() != ".parquet":
        raise InputError(f"{out}: scores are written as .parquet; give a name that ends so")
    check_place(out)
    return out


def write_scores(path: str | os.PathLike[str], table: ScoreTable) -> None:
    """Write a table, whole or not at all.

    Raises:
        InputError: it cannot be written, or an image is there twice.
    """
    out = check_score_file(path)
    if len(set(table.paths)) != len(table.paths):
        raise InputError(f"{out}: an image is in the table twice")
    columns: dict[str, Any] = {"path": pa.array(table.paths, pa.string()), "truth": _lists(table.labels, pa.int8())}
    for method, scores in table.scores.items():
        columns[PREFIX + method] = _lists(scores, pa.float64() if scores.dtype == torch.float64 else pa.float32())
    if table.decided is not None:
        columns["decided"] = _lists(table.decided, pa.bool_())
    about = json.dumps({"version": VERSION, "classes": table.label_names}, ensure_ascii=False)
    content = pa.table(columns).replace_schema_metadata({"piaa": about})
    with whole_file(out) as aside:
        pq.write_table(content, aside)


def read_scores(path: str | os.PathLike[str]) -> ScoreTable:
    """Read what `write_scores` wrote.

    Raises:
        InputError: not there, damaged, or not such a table.
    """
    try:
        content = pq.read_table(path)
        about = parse_json((content.schema.metadata or {})[b"piaa"])
        version, names = about["version"], list(about["classes"])
        if version != VERSION:
            raise InputError(f"{path}: written by another version of piaa (format {version}); write it again")
        scores = {
            name.removeprefix(PREFIX): _tensor(content[name], len(names))
            for name in content.column_names
            if name.startswith(PREFIX)
        }
        decided = _tensor(content["decided"], len(names)) if "decided" in content.column_names else None
        labels = _tensor(content["truth"], len(names)).long()
        return ScoreTable(content["path"].to_pylist(), names, labels, scores, decided)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: not a table of scores, as 'piaa eval --scores' writes it: {reason}") from error


def aligned(first: ScoreTable, second: ScoreTable) -> tuple[ScoreTable, ScoreTable, list[str]]:
    """Both with the images and classes that they share, in the order of the first; and notes of what was left out.

    Raises:
        InputError: no image in common, other classes, or another truth for the same image.
    """
    other = {name: number for number, name in enumerate(second.label_names)}
    differing = sorted(set(first.label_names) ^ set(second.label_names))
    if differing:
        raise InputError(
            f"the runs have other classes, so they cannot be compared: only one has {', '.join(differing)}"
        )
    place = {path: number for number, path in enumerate(second.paths)}
    shared = [number for number, path in enumerate(first.paths) if path in place]
    if not shared:
        raise InputError(
            f"the runs have no image in common: {first.paths[:1]} and {second.paths[:1]}, say; "
            "compare runs on the same truth file"
        )
    classes = list(range(len(first.label_names)))
    ours = first.rows(shared, classes)
    theirs = second.rows([place[path] for path in ours.paths], [other[name] for name in first.label_names])
    unequal = (ours.labels != theirs.labels).any(dim=1).nonzero()[:, 0].tolist()
    if unequal:
        raise InputError(
            f"{len(unequal)} images have another truth in the other run, {ours.paths[unequal[0]]} for one; "
            "evaluate both with the same truth file"
        )
    left = [len(table.paths) - len(shared) for table in (first, second)]
    notes = [f"{count} images are in the {which} run alone and were left out"
             for count, which in zip(left, ("first", "second"), strict=True) if count]  # fmt: skip
    return ours, theirs, notes


def _lists(values: Tensor, kind: pa.DataType) -> pa.Array:
    flat = pa.array(values.reshape(-1).numpy()).cast(kind)
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _tensor(column: pa.ChunkedArray, width: int) -> Tensor:
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return torch.from_numpy(np.array(flat)).reshape(len(column), width)
