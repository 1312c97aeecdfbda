"""Rows of tags to `.jsonl`, `.csv` or `.parquet`, by the ending of the output; `piaa.jobs.parts` writes a folder.

    .jsonl    first what the file says about itself, then
              {"path": ..., "labels": [{"label": ..., "score": ...}, ...], "scores": {label: score, ...}}
    .csv      path, labels (`a;b`), label_scores (`0.9;0.6`), then a column `score:NAME` for each class
    .parquet  path, labels (list of {label, score}), scores (list of C, in the order of `classes` in the metadata)

Where the classifier tests for it, each row has `foreign`: whether the image is unlike those of the fit (CSV: 1 or 0).
What holds all classes is there only if all scores were asked for. Labels come best first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from piaa.errors import InputError
from piaa.files import check_place
from piaa.jobs.formats import Shards, Style, Writer, comma_separated, json_lines, parquet
from piaa.jobs.manifest import MANIFEST, check_parts


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
    if is_folder(path):
        return check_parts(path)
    if path.suffix.lower() not in _WRITERS:
        raise InputError(
            f"{path}: the ending says how to write; use one of {', '.join(output_endings())}, or a name without "
            "an ending for a folder of Parquet parts"
        )
    check_place(path)
    with_separator = [name for name in label_names if ";" in name]
    if path.suffix.lower() == ".csv" and with_separator:
        raise InputError(
            f"{path}: the class name {with_separator[0]!r} holds a `;`, which separates labels in a CSV; "
            "write .jsonl or .parquet"
        )
    return path


def is_folder(out: Path) -> bool:
    """Whether an output is a folder of parts: it has no ending, or it is one already."""
    return not out.suffix or (out / MANIFEST).exists()


def write_table(
    path: Path, suffix: str, shards: Shards, score_columns: Sequence[str], style: Style | None = None
) -> None:
    """Write all rows, shard by shard, so that memory stays small.

    Args:
        path: the file, whatever its own ending.
        suffix: a member of `output_endings()`.
        shards: lists of rows `{"path", "labels": [{"label", "score"}], "scores": {label: score}}`.
        score_columns: classes whose scores are written for every image; may be empty.
        style: how, beside the rows.
    """
    _WRITERS[suffix.lower()](path, shards, score_columns, style or Style())


_WRITERS: dict[str, Writer] = {
    ".jsonl": json_lines.write,
    ".csv": comma_separated.write,
    ".parquet": parquet.write,
}
"""By ending; a new format is a file in `piaa.jobs.formats` and an entry here."""
