"""Ground truth for `piaa eval`: which labels each image really has, and how large its objects are.

    .csv      path,labels[,sizes]       `labels` separated by `;`, `sizes` a JSON object {label: 0..1}
              path,CLASS,CLASS,...      0 or 1 for each class
    .jsonl    {"path": ..., "labels": [...], "sizes": {label: 0..1}}
    .parquet  columns path (text) and labels (list of text, or text as in .csv); sizes (JSON text) may be there

A size is that of the largest object of the label, relative to the image: its longer side over the image's, 0 to 1.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piaa.errors import InputError, LabelError
from piaa.files import csv_line, is_storable, parse_json, whole_file

SEPARATOR = ";"


@dataclass(frozen=True)
class Truth:
    """What is true of a set of images.

    Attributes:
        label_names: C classes.
        labels: path to the indices of the labels that the image has, in the order of the file.
        sizes: path to {label index: relative size 0..1}, for the images that have any.
        folder: relative paths are taken from here: the folder of the truth file.
        missing: paths, as in the file, of images that are not there; they are in `labels` all the same.
        areas: path to {label index: area of each of its boxes, pixels}, for the images that have boxes.
    """

    label_names: list[str]
    labels: dict[str, frozenset[int]]
    sizes: dict[str, dict[int, float]] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)
    missing: list[str] = field(default_factory=list)
    areas: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    _shortened: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def find(self, path: str | os.PathLike[str]) -> str | None:
        """The key in `labels` of an image given by its path in any form, or None where nothing is known of it."""
        if not hasattr(self, "_resolved"):
            keys = {os.path.realpath(self.folder / key): key for key in self.labels}
            object.__setattr__(self, "_resolved", keys)
        known: dict[str, str] = self._resolved  # type: ignore[attr-defined]
        return known.get(os.path.realpath(path))

    def match(self, name: str, short: Iterable[str] = ()) -> str | None:
        """The key in `labels` of an image of a run, or None where nothing is known of it.

        Args:
            name: its id: a path, a URL, `FILE.tar!MEMBER`. A key that is the same, or is the same file, fits.
            short: what it is called below the folder, URL or tar that it comes from; else such a key fits.

        Raises:
            InputError: two images of the run have that short name, so the key could be either.
        """
        key = name if name in self.labels else self.find(name)
        if key is not None:
            return key
        key = next((each for each in short if each in self.labels), None)
        if key is None:
            return None
        first = self._shortened.setdefault(key, name)
        if first != name:
            raise InputError(f"the truth file's {key!r} may be {first} or {name}: write the whole path there")
        return key

    def targets(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """N x C of 0 and 1 for N keys of `labels`.

        Raises:
            KeyError: a path that is no key.
        """
        result = np.zeros((len(paths), len(self.label_names)), dtype=np.int64)
        for row, path in enumerate(paths):
            result[row, sorted(self.labels[path])] = 1
        return result

    def size_matrix(self, paths: Sequence[str]) -> NDArray[np.float64]:
        """N x C relative sizes, NaN where none is known."""
        result = np.full((len(paths), len(self.label_names)), np.nan)
        for row, path in enumerate(paths):
            for index, size in self.sizes.get(path, {}).items():
                result[row, index] = size
        return result

    def area_matrix(self, paths: Sequence[str]) -> NDArray[np.float64]:
        """N x C areas of the largest box of each class, pixels; NaN where there is none."""
        result = np.full((len(paths), len(self.label_names)), np.nan)
        for row, path in enumerate(paths):
            for index, areas in self.areas.get(path, {}).items():
                result[row, index] = max(areas)
        return result


@dataclass(frozen=True)
class _Entry:
    place: str
    path: str
    labels: list[str]
    sizes: dict[str, float]


def read_truth(path: str | os.PathLike[str], label_names: Sequence[str]) -> Truth:
    """Read a truth file (layouts above), UTF-8 with or without a byte order mark.

    Args:
        path: ending in .csv, .jsonl or .parquet.
        label_names: C classes of the classifier; every label of the file must be one of them. In a file with
            a column for each class, classes without a column count as absent everywhere.

    Raises:
        LabelError: naming file and line: an unknown label, an image listed twice, a size outside 0..1 or of
            a label that the image has not, a value that is not 0 or 1, a broken line, no image at all.
    """
    path = Path(path)
    index = {name: number for number, name in enumerate(label_names)}
    labels: dict[str, frozenset[int]] = {}
    sizes: dict[str, dict[int, float]] = {}
    places: dict[str, str] = {}
    for entry in _entries(path, index):
        normal = os.path.normpath(entry.path)
        if normal in places:
            raise LabelError(f"{entry.place}: {entry.path!r} is listed twice; first at {places[normal]}")
        places[normal] = entry.place
        labels[entry.path] = frozenset(_index(entry, name, index) for name in entry.labels)
        if entry.sizes:
            sizes[entry.path] = _checked_sizes(entry, index)
    if not labels:
        raise LabelError(f"{path}: no image in it")
    missing = [name for name in labels if not os.path.isfile(path.parent / name)]
    return Truth(list(label_names), labels, sizes, path.parent, missing)


def write_truth(path: str | os.PathLike[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a truth CSV (`path,labels,sizes`), whole or not at all.

    Args:
        path: the file.
        rows: each `{"path": str, "labels": iterable of names, "sizes": {name: 0..1}}`; sizes may be left out.

    Raises:
        InputError: the file cannot be written.
        LabelError: a label that holds a `;`.
    """
    path = Path(path)
    with whole_file(path) as aside, open(aside, "w", encoding="utf-8", newline="") as stream:
        stream.write(csv_line(["path", "labels", "sizes"]))
        for row in rows:
            names = list(row["labels"])
            for name in names:
                if SEPARATOR in name or name != name.strip():
                    raise LabelError(f"{path}: label {name!r}: `;` separates labels, and blanks are cut off")
            sizes = json.dumps(dict(row.get("sizes") or {}), ensure_ascii=False)
            stream.write(csv_line([row["path"], SEPARATOR.join(names), sizes]))


def _entries(path: Path, index: Mapping[str, int]) -> Iterator[_Entry]:
    if path.suffix.lower() not in (".csv", ".jsonl", ".parquet"):
        raise LabelError(f"{path}: a truth file ends in .csv, .jsonl or .parquet")
    try:
        data = path.read_bytes()
        if path.suffix.lower() == ".parquet":
            return _parquet_entries(path, data)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise LabelError(f"{path}: cannot read the truth file: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise LabelError(f"{path}: not UTF-8 text; save the file as UTF-8") from error
    return _csv_entries(path, text, index) if path.suffix.lower() == ".csv" else _jsonl_entries(path, text)


def _parquet_entries(path: Path, data: bytes) -> Iterator[_Entry]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
        missing = [name for name in ("path", "labels") if name not in table.column_names]
        if missing:
            raise LabelError(f"{path}: no column is called {missing[0]}; a truth table has path and labels")
        names = [name for name in ("path", "labels", "sizes") if name in table.column_names]
        rows = table.select(names).to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise LabelError(f"{path}: no Parquet table that can be read: {error}") from error
    for number, row in enumerate(rows):
        place, labels, sizes = f"{path}, row {number}", row["labels"], row.get("sizes")
        given = _listed(labels) if isinstance(labels, str) else labels or []
        yield _entry(place, row["path"], given, _json(place, sizes or "{}") if isinstance(sizes, str) else sizes or {})


def _csv_entries(path: Path, text: str, index: Mapping[str, int]) -> Iterator[_Entry]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = header
        if "path" not in header:
            raise LabelError(f"{path}, line 1: no column is called path; the header must be path,labels")
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise LabelError(f"{path}, line 1: column {twice[0]!r} is there twice")
        listed = "labels" in header
        unknown = [name for name in header if name not in ("path", "labels", "sizes") and name not in index]
        if not listed and (unknown or not set(header) & index.keys()):
            raise LabelError(
                f"{path}, line 1: neither a column labels nor a column for each class; "
                f"no class is called {', '.join(map(repr, unknown)) or 'like a column'}"
            )
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise LabelError(f"{place}: not {len(header)} values, as the header has")
            names = _listed(row["labels"]) if listed else _ticked(place, row, index)
            yield _entry(place, row["path"], names, _json(place, row.get("sizes") or "{}"))
    except csv.Error as error:
        raise LabelError(f"{path}, line {reader.line_num}: not readable as CSV: {error}") from error


def _jsonl_entries(path: Path, text: str) -> Iterator[_Entry]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        row = _json(place, line)
        if not isinstance(row, dict) or "path" not in row or "labels" not in row:
            raise LabelError(f'{place}: must be an object {{"path": ..., "labels": [...]}}')
        yield _entry(place, row["path"], row["labels"], row.get("sizes") or {})


def _entry(place: str, path: Any, labels: Any, sizes: Any) -> _Entry:
    if not isinstance(path, str) or not path.strip():
        raise LabelError(f"{place}: no path")
    if not is_storable(path):
        raise LabelError(f"{place}: no file is called {path[:60]!r}; it holds what is no text")
    if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
        raise LabelError(f"{place}: labels must be a list of names")
    if not isinstance(sizes, dict):
        raise LabelError(f"{place}: sizes must be an object {{label: size}}")
    return _Entry(place, path, labels, sizes)


def _listed(cell: str) -> list[str]:
    return [name.strip() for name in cell.split(SEPARATOR) if name.strip()]


def _ticked(place: str, row: Mapping[str, str], index: Mapping[str, int]) -> list[str]:
    for name in row.keys() & index.keys():
        if row[name].strip() not in ("0", "1"):
            raise LabelError(f"{place}: {row[name]!r} for class {name!r}; must be 0 or 1")
    return [name for name in row if name in index and row[name].strip() == "1"]


def _json(place: str, text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise LabelError(f"{place}: not readable as JSON: {error}") from error


def _index(entry: _Entry, name: str, index: Mapping[str, int]) -> int:
    if name not in index:
        raise LabelError(f"{entry.place}: no class is called {name!r}; the classifier has {len(index)} classes")
    return index[name]


def _checked_sizes(entry: _Entry, index: Mapping[str, int]) -> dict[int, float]:
    result: dict[int, float] = {}
    for name, size in entry.sizes.items():
        number = _index(entry, name, index)
        if name not in entry.labels:
            raise LabelError(f"{entry.place}: a size for {name!r}, which is not among its labels")
        if isinstance(size, bool) or not isinstance(size, int | float) or not 0 <= size <= 1:
            raise LabelError(f"{entry.place}: size {size!r} of {name!r}; must be a number from 0 to 1")
        result[number] = float(size)
    return result
