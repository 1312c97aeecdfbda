"""`.jsonl`: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from piaa.jobs.formats import Shards


def write(path: Path, shards: Shards, score_columns: Sequence[str]) -> None:
    """Write all rows."""
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        for rows in shards:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
