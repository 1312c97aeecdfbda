"""What is really in the images: truth files for evaluation, read and written."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piaa.errors import LabelError


@dataclass(frozen=True)
class Truth:
    """Labels of images.

    Attributes:
        labels: path as written in the file -> class indices.
        sizes: path -> class index -> relative size (0..1) of the largest instance, where the file says so.
    """

    labels: dict[str, set[int]]
    sizes: dict[str, dict[int, float]]

    def match(self, ids: Sequence[str], classes: int) -> tuple[NDArray[np.int64], NDArray[np.float64], list[int]]:
        """Rows for images by their path, matched by the longest common ending of folders and name.

        Returns:
            labels n x C, sizes n x C (NaN where unknown), and which of `ids` were found (n indices).
        """
        found, rows, sizes = [], [], []
        by_name: dict[str, list[str]] = {}
        for path in self.labels:
            by_name.setdefault(path.replace("\\", "/").rsplit("/", 1)[-1], []).append(path)
        for number, name in enumerate(ids):
            text = name.replace(os.sep, "/")
            candidates = [p for p in by_name.get(text.rsplit("/", 1)[-1], []) if _ends(text, p)]
            if not candidates:
                continue
            path = max(candidates, key=len)
            row = np.zeros(classes, dtype=np.int64)
            row[list(self.labels[path])] = 1
            size = np.full(classes, np.nan)
            for index, value in self.sizes.get(path, {}).items():
                size[index] = value
            found.append(number)
            rows.append(row)
            sizes.append(size)
        shape = (len(found), classes)
        return np.array(rows, dtype=np.int64).reshape(shape), np.array(sizes).reshape(shape), found


def _ends(path: str, ending: str) -> bool:
    ending = ending.replace("\\", "/").lstrip("./")
    return path == ending or path.endswith("/" + ending)


def read_truth(path: str | Path, label_names: Sequence[str]) -> Truth:
    """Read a truth file: `.csv` with the columns path and labels (`a;b`), or one 0/1 column per class; or `.jsonl`.

    A column or key `sizes` may map label to relative size (JSON).

    Raises:
        LabelError: naming file and line, for an unknown label, a path given twice, or a form that is none of these.
    """
    path = Path(path)
    index = {name.casefold(): number for number, name in enumerate(label_names)}
    truth = Truth({}, {})
    try:
        lines = _jsonl(path) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv(path, index)
        for line, name, labels, sizes in lines:
            place = f"{path}, line {line}"
            if name in truth.labels:
                raise LabelError(f"{place}: {name!r} was already given; keep one line an image")
            truth.labels[name] = {_known(label, index, place) for label in labels}
            if sizes:
                truth.sizes[name] = {_known(k, index, place): float(v) for k, v in sizes.items()}
    except OSError as error:
        raise LabelError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise LabelError(f"{path}: not UTF-8 text") from error
    if not truth.labels:
        raise LabelError(f"{path}: no image in it")
    return truth


def _known(label: str, index: dict[str, int], place: str) -> int:
    number = index.get(label.strip().casefold())
    if number is None:
        raise LabelError(f"{place}: {label!r} is no class of this classifier")
    return number


Row = tuple[int, str, list[str], dict[str, float]]


def _jsonl(path: Path) -> Iterable[Row]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if line.strip():
            try:
                row = json.loads(line)
                yield number, str(row["path"]), list(row["labels"]), dict(row.get("sizes") or {})
            except (ValueError, KeyError, TypeError) as error:
                raise LabelError(f"{path}, line {number}: wanted {{\"path\": ..., \"labels\": [...]}}") from error


def _csv(path: Path, index: dict[str, int]) -> Iterable[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        if "path" not in columns:
            raise LabelError(f"{path}, line 1: no column 'path'; the header is path,labels or path and one per class")
        classes = [c for c in columns if c.casefold() in index]
        if "labels" not in columns and not classes:
            raise LabelError(f"{path}, line 1: neither a column 'labels' nor one named after a class")
        for row in reader:
            if "labels" in columns:
                labels = [part.strip() for part in (row["labels"] or "").split(";") if part.strip()]
            else:
                labels = [c for c in classes if (row[c] or "").strip() not in ("", "0", "false", "False")]
            try:
                sizes = json.loads(row["sizes"]) if row.get("sizes") else {}
            except ValueError as error:
                raise LabelError(f"{path}, line {reader.line_num}: column 'sizes' is no JSON") from error
            yield reader.line_num, row["path"], labels, sizes


def write_truth(path: str | Path, rows: Iterable[tuple[str, Sequence[str], dict[str, float]]]) -> None:
    """Write (path, labels, sizes) rows as the CSV that `read_truth` reads, whole or not at all."""
    path = Path(path)
    aside = path.with_name(f".{path.name}.partial")
    with aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "labels", "sizes"])
        for name, labels, sizes in rows:
            writer.writerow([name, ";".join(labels), json.dumps(sizes, ensure_ascii=False)])
    os.replace(aside, path)
