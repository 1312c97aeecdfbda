"""`.csv`: comma or another separator, quoted where needed, line end `\\n`, cells harmless in a spreadsheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from piaa.files import csv_line
from piaa.jobs.formats import FOREIGN, Shards, Style
from piaa.jobs.formats.cells import cell


def write(path: Path, shards: Shards, score_columns: Sequence[str], style: Style) -> None:
    """Write all rows."""
    tested = bool(style.about.get(FOREIGN))
    with open(path, "w", encoding="utf-8-sig" if style.bom else "utf-8", newline="") as stream:
        head = ["path", "labels", "label_scores", *([FOREIGN] if tested else [])]
        stream.write(csv_line([*head, *(f"score:{name}" for name in score_columns)], style.separator))
        for rows in shards:
            for row in rows:
                names = cell(";".join(entry["label"] for entry in row["labels"]))
                scores = ";".join(str(entry["score"]) for entry in row["labels"])
                values = (row["scores"][name] for name in score_columns)
                foreign = [int(row[FOREIGN])] if tested else []
                stream.write(csv_line([cell(row["path"]), names, scores, *foreign, *values], style.separator))
