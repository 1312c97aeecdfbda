"""`.csv`: comma, quoted where needed, line end `\\n`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from piaa.files import csv_line
from piaa.jobs.formats import Shards


def write(path: Path, shards: Shards, score_columns: Sequence[str]) -> None:
    """Write all rows."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        stream.write(csv_line(["path", "labels", "label_scores", *(f"score:{name}" for name in score_columns)]))
        for rows in shards:
            for row in rows:
                names = ";".join(entry["label"] for entry in row["labels"])
                scores = ";".join(str(entry["score"]) for entry in row["labels"])
                stream.write(csv_line([row["path"], names, scores, *(row["scores"][n] for n in score_columns)]))
