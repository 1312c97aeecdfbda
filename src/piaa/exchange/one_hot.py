"""CSV with a column of 0 and 1 for each class: for spreadsheets, and truth once somebody has corrected it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from piaa.errors import InputError
from piaa.exchange.common import Exported, Options, cell, uncell
from piaa.exchange.corrections import Corrected, read_text
from piaa.exchange.tag_table import TagTable
from piaa.files import csv_line, whole_file


def export_one_hot(table: TagTable, options: Options) -> Exported:
    """`path`, then a column for each class."""
    out = options.target()
    with whole_file(out) as aside, open(aside, "w", encoding="utf-8", newline="") as stream:
        stream.write(csv_line(["path", *map(cell, table.classes)]))
        for row in table.rows:
            stream.write(csv_line([cell(row.path), *(int(name in row.labels) for name in table.classes)]))
    return Exported(len(table.rows), places=[out])


def read_csv(file: Path) -> list[Corrected]:
    """Such a file, or `path,labels` with `;` between the labels.

    Raises:
        InputError: it is neither; with the line.
    """
    reader = csv.DictReader(io.StringIO(read_text(file), newline=""), strict=True)
    try:
        header = [uncell(name.strip()) for name in reader.fieldnames or []]
        reader.fieldnames = header
        if "path" not in header or len(header) < 2:
            raise InputError(f"{file}, line 1: the header must be path,labels or path,CLASS,CLASS,...")
        return [_row(file, reader.line_num, header, row) for row in reader]
    except csv.Error as error:
        raise InputError(f"{file}, line {reader.line_num}: not readable as CSV: {error}") from error


def _row(file: Path, line: int, header: list[str], row: dict[str, str]) -> Corrected:
    if None in row or None in row.values():
        raise InputError(f"{file}, line {line}: not {len(header)} values, as the header has")
    if "labels" in header:
        return Corrected(uncell(row["path"]), [name.strip() for name in row["labels"].split(";") if name.strip()])
    names = [name for name in header if name != "path"]
    for name in names:
        if row[name].strip() not in ("0", "1"):
            raise InputError(f"{file}, line {line}: {row[name]!r} for class {name!r}; must be 0 or 1")
    return Corrected(uncell(row["path"]), [name for name in names if row[name].strip() == "1"])
