"""`.jsonl`: one JSON object a line, the first one about the file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from piaa.jobs.formats import Row, Shards, Style


def write(path: Path, shards: Shards, score_columns: Sequence[str], style: Style) -> None:
    """Write all rows."""
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        if style.about:
            stream.write(line(style.about))
        for rows in shards:
            stream.writelines(map(line, rows))


def line(value: Row) -> str:
    """One line."""
    return json.dumps(value, ensure_ascii=False) + "\n"
