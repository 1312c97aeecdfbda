"""What a search found, and the files it is written to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from piaa.errors import InputError
from piaa.exchange.tag_table import TagRow
from piaa.files import check_place, whole_file, write_text
from piaa.inputs.images import printable
from piaa.jobs.tables import check_output, output_endings, write_table


@dataclass(frozen=True)
class Found:
    """One image.

    Attributes:
        path: where it is.
        score: how well it fits; comparable within one search alone.
        row: its row in the table of tags, for a search over one.
    """

    path: str
    score: float
    row: TagRow | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values: `path`, `score`, and `labels` with their scores where they are known."""
        known = {"labels": _labels(self.row)} if self.row else {}
        return {"path": self.path, "score": round(self.score, 6), **known}


@dataclass(frozen=True)
class Result:
    """All that a search found, the best first.

    Attributes:
        found: the images.
        total: how many images were looked at.
        classes: of the table, where its rows have the scores of every class; else empty.
    """

    found: list[Found]
    total: int
    classes: list[str] = field(default_factory=list)

    def best(self, limit: int | None) -> Result:
        """The first `limit` of them; None and 0 leave all."""
        return replace(self, found=self.found[:limit]) if limit else self

    def below(self, folder: Path | None) -> Result:
        """The same with paths that begin with a folder."""
        if folder is None:
            return self
        return replace(self, found=[replace(one, path=printable(folder / one.path)) for one in self.found])


def check_found_place(out: Path, tables: bool) -> None:
    """Refuse a file that could not be written, before anything is searched.

    Args:
        out: the file.
        tables: whether a table of tags is searched, whose rows can be written as one.

    Raises:
        InputError: in this case.
    """
    endings = (".txt", *output_endings()) if tables else (".txt", ".jsonl")
    if out.suffix.lower() not in endings:
        raise InputError(f"{out}: the ending says how to write; use one of {', '.join(endings)}")
    check_place(out)


def write_found(result: Result, out: Path) -> None:
    """Write what was found: `.txt` has a path a line; from a table of tags, `.jsonl`, `.csv` and `.parquet` are tables
    of tags again, which `piaa export` reads; from images, `.jsonl` has `path` and `score`.

    Raises:
        InputError: for another ending, a path with a line break in a `.txt`, or what cannot be written.
    """
    if out.suffix.lower() == ".txt":
        broken = [one.path for one in result.found if "\n" in one.path or "\r" in one.path]
        if broken:
            raise InputError(f"{out}: the path {broken[0]!r} has a line break; write .jsonl")
        write_text(out, "".join(f"{one.path}\n" for one in result.found))
    elif all(one.row is None for one in result.found) and out.suffix.lower() == ".jsonl":
        write_text(out, "".join(json.dumps(one.to_dict(), ensure_ascii=False) + "\n" for one in result.found))
    else:
        rows = [one.row for one in result.found if one.row]
        check_output(out, [name for row in rows for name in row.labels])
        plain = [{"path": row.path, "labels": _labels(row), "scores": row.scores} for row in rows]
        with whole_file(out) as aside:
            write_table(aside, out.suffix, [plain], result.classes)


def _labels(row: TagRow) -> Sequence[dict[str, Any]]:
    return [{"label": name, "score": score} for name, score in row.labels.items()]
