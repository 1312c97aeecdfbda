"""Labels that somebody has corrected in another program, as truth for `piaa eval`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piaa.errors import InputError
from piaa.evaluation.truth import SEPARATOR, write_truth
from piaa.files import parse_json, whole_file


@dataclass(frozen=True)
class Corrected:
    """One image and the labels that a person gave it."""

    path: str
    labels: list[str]


def read_text(file: Path) -> str:
    """A file as text.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text") from error


def read_json(file: Path) -> Any:
    """A JSON file.

    Raises:
        InputError: it is none.
    """
    try:
        return parse_json(read_text(file))
    except ValueError as error:
        raise InputError(f"{file}: not readable as JSON: {error}") from error


def write_corrections(rows: Sequence[Corrected], out: Path, renamed: Mapping[str, str] | None = None) -> None:
    """Write truth: a .csv, or a .jsonl, which also holds names with a `;`.

    Args:
        rows: N; an image may be there once.
        out: the file; relative paths are taken from its folder by those who read it.
        renamed: path of the other program to the path of the image, where they differ.

    Raises:
        InputError: no image, an image twice, another ending, or a name that a CSV cannot hold.
    """
    paths = [(renamed or {}).get(row.path, row.path) for row in rows]
    twice = sorted({path for path in paths if paths.count(path) > 1}) if len(set(paths)) < len(paths) else []
    if twice:
        raise InputError(f"{out}: {twice[0]!r} was corrected twice; keep one of the two and import again")
    if not rows:
        raise InputError(f"{out}: nobody has corrected an image yet, so there is no truth to write")
    entries = [{"path": path, "labels": row.labels} for path, row in zip(paths, rows, strict=True)]
    if out.suffix.lower() == ".csv":
        _check_csv(out, entries)
        write_truth(out, entries)
    elif out.suffix.lower() == ".jsonl":
        with whole_file(out) as aside, open(aside, "w", encoding="utf-8", newline="\n") as stream:
            stream.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
    else:
        raise InputError(f"{out}: truth is written as .csv or .jsonl; give a name that ends so")


def relative_to(rows: Iterable[Corrected], images: Path | None, out: Path) -> list[Corrected]:
    """The rows with paths as seen from the folder of `out`, which is where truth files start from.

    Args:
        rows: paths absolute, or relative to `images`.
        images: None is the current folder.
        out: the truth file.
    """
    base = os.path.abspath(images or Path())
    start = os.path.abspath(out.parent)
    return [Corrected(os.path.relpath(os.path.join(base, row.path), start), row.labels) for row in rows]


def _check_csv(out: Path, entries: Sequence[dict[str, Any]]) -> None:
    for entry in entries:
        for name in entry["labels"]:
            if SEPARATOR in name or name != name.strip():
                raise InputError(f"{out}: label {name!r} cannot stand in a CSV (`;` separates labels); write .jsonl")
