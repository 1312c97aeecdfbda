"""The tables that `piaa tag` writes, read back: .jsonl, .csv, .parquet (`piaa.jobs.tables`) and folders of parts.

Images that failed, and those that are gone, are no rows here. A first line of JSON without a path, comment lines of a
CSV and the metadata of a Parquet file may say where the tags come from; whatever is there is kept in `about`.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from piaa.errors import InputError
from piaa.files import is_storable, parse_json
from piaa.jobs.formats.cells import uncell
from piaa.jobs.manifest import MANIFEST, read_manifest

SCORE = "score:"
THRESHOLD = 0.5
"""The calibrated score from which on a label is given."""


@dataclass(frozen=True)
class TagRow:
    """One tagged image.

    Attributes:
        path: the image, as it was given to `piaa tag`.
        labels: the labels that it has, each with its calibrated score 0..1, the surest first.
        scores: the calibrated score of every class; empty where only labels were written.
    """

    path: str
    labels: dict[str, float]
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def doubt(self) -> float:
        """How close the nearest score is to its threshold: 1 at the threshold, 0 where all are 0 or 1."""
        known = list((self.scores or self.labels).values())
        return max((1 - 2 * abs(score - THRESHOLD) for score in known), default=0.0)


@dataclass(frozen=True)
class TagTable:
    """All tagged images of one file.

    Attributes:
        rows: N, in the order of the file.
        classes: C names: the score columns, or what `about` says, or every label that occurs, sorted.
        about: what the file says about itself (model, classifier, command); may be empty.
        source: the file.
    """

    rows: list[TagRow]
    classes: list[str]
    about: dict[str, Any]
    source: Path


def read_tags(path: str | os.PathLike[str]) -> TagTable:
    """Read a table of tags, or a folder of them.

    Raises:
        InputError: no such file, another ending, or something that `piaa tag` does not write; with line or row.
    """
    file = Path(path)
    reader = _folder if (file / MANIFEST).exists() else _READERS.get(file.suffix.lower())
    if reader is None:
        raise InputError(f"{file}: a table of tags ends in {', '.join(sorted(_READERS))}")
    try:
        rows, named, about = reader(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text, so not a table that 'piaa tag' wrote") from error
    except (ValueError, KeyError, TypeError, OverflowError, csv.Error, pa.ArrowException) as error:
        raise InputError(f"{file}: not a table that 'piaa tag' wrote: {error}") from error
    return TagTable(rows, named or _classes_of(rows, about), about, file)


_Parsed = tuple[list[TagRow], list[str], dict[str, Any]]


def _jsonl(file: Path) -> _Parsed:
    rows: list[TagRow] = []
    about: dict[str, Any] = {}
    with open(file, encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                value = parse_json(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            if isinstance(value, dict) and "path" not in value and not rows and not about:
                about = value
            elif not _failed(value):
                rows.append(_row(f"line {number}", value))
    return rows, list(rows[0].scores) if rows else [], about


def _csv(file: Path) -> _Parsed:
    with open(file, encoding="utf-8-sig", newline="") as stream:
        about, reader = _csv_head(stream)
        header = reader.fieldnames or []
        if "path" not in header or "labels" not in header:
            raise ValueError("line 1: no columns called path and labels")
        names = [column.removeprefix(SCORE) for column in header if column.startswith(SCORE)]
        rows = [_row(f"line {reader.line_num}", _csv_row(reader.line_num, cells, names)) for cells in reader]
    return rows, names, about


def _csv_head(stream: Any) -> tuple[dict[str, Any], csv.DictReader[str]]:
    """A first line `# {...}` about the file, if there is one."""
    first = stream.readline()
    about = {}
    if first.startswith("#"):
        about, begin = _object(first.lstrip("# ")), stream.tell()
        first = stream.readline()
        stream.seek(begin)
    else:
        stream.seek(0)
    other = first.removeprefix("path")[:1]  # the separator follows the first column's name
    separator = other if first.startswith("path") and other and other in ";|\t" else ","
    return about, csv.DictReader(stream, strict=True, delimiter=separator)


def _csv_row(line: int, cells: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    if None in cells or None in cells.values():
        raise ValueError(f"line {line}: another number of values than the header has")
    labels = [name for name in uncell(cells["labels"]).split(";") if name]
    scores = [float(score) for score in cells.get("label_scores", "").split(";") if score]
    if len(labels) != len(scores):
        raise ValueError(f"line {line}: {len(labels)} labels and {len(scores)} scores")
    pairs = [{"label": name, "score": score} for name, score in zip(labels, scores, strict=True)]
    return {
        "path": uncell(cells["path"]),
        "labels": pairs,
        "scores": {name: float(cells[SCORE + name]) for name in names},
    }


def _parquet(file: Path) -> _Parsed:
    with pq.ParquetFile(file) as content:
        schema = content.schema_arrow
        about = _object((schema.metadata or {}).get(b"piaa", b"{}").decode())
        names = [column.removeprefix(SCORE) for column in schema.names if column.startswith(SCORE)]
        if "scores" in schema.names:
            names = list(about.get("classes", []))
        rows = [row for batch in content.iter_batches() for row in _parquet_rows(batch.to_pylist(), names)]
    return rows, names, about


def _parquet_rows(batch: Iterable[dict[str, Any]], names: Sequence[str]) -> Iterator[TagRow]:
    for value in batch:
        if _failed(value) or value.get("gone"):
            continue
        if "scores" in value:
            scores = dict(zip(names, [_digits(score) for score in value["scores"]], strict=True))
        else:
            scores = {name: value[SCORE + name] for name in names}  # before version 1 of the layout
        yield _row(f"row of {value.get('path')!r}", {**value, "scores": scores})


def _digits(score: float) -> float:
    return round(score, 6)  # parts hold all scores in 32 bits


def _failed(value: Any) -> bool:
    return isinstance(value, dict) and bool(value.get("error"))


def _folder(folder: Path) -> _Parsed:
    manifest = read_manifest(folder)
    rows: list[TagRow] = []
    names: list[str] = []
    for part in manifest["parts"]:
        more, names, _ = _parquet(folder / part["path"])
        rows += more
    return rows, names, manifest["about"]


_READERS: dict[str, Callable[[Path], _Parsed]] = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}


def _object(text: str) -> dict[str, Any]:
    try:
        value = parse_json(text)
    except ValueError:
        return {"note": text.strip()}
    return value if isinstance(value, dict) else {"note": value}


def _row(place: str, value: Any) -> TagRow:
    if not isinstance(value, dict) or not isinstance(value.get("path"), str) or not value["path"]:
        raise ValueError(f"{place}: no path")
    if not is_storable(value["path"]):
        raise ValueError(f"{place}: no file is called {value['path'][:60]!r}; it holds what is no text")
    labels = value.get("labels")
    if not isinstance(labels, list) or not all(isinstance(each, dict) for each in labels):
        raise ValueError(f'{place}: labels must be a list of {{"label": ..., "score": ...}}')
    pairs = {each["label"]: _score(place, each["score"]) for each in labels}
    given = value.get("scores") or {}
    if not isinstance(given, dict):
        raise ValueError(f"{place}: scores must be an object {{label: score}}")
    scores = {name: _score(place, score) for name, score in given.items()}
    if not all(isinstance(name, str) and is_storable(name) for name in (*pairs, *scores)):
        raise ValueError(f"{place}: a label is no text")
    return TagRow(value["path"], dict(sorted(pairs.items(), key=lambda pair: -pair[1])), scores)


def _score(place: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{place}: {str(value)[:60]} is no score; a score is from 0 to 1")
    return float(value)


def _classes_of(rows: Sequence[TagRow], about: Mapping[str, Any]) -> list[str]:
    declared = about.get("classes") or about.get("labels")
    if isinstance(declared, list) and all(isinstance(name, str) for name in declared):
        return list(dict.fromkeys(declared))
    return sorted({name for row in rows for name in row.labels})
