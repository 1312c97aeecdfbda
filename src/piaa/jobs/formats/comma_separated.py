"""`.csv`: comma or another separator, quoted where needed, line end `\\n`, cells harmless in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from piaa.jobs.formats import Shards, Style
from piaa.jobs.formats.cells import cell


def write(path: Path, shards: Shards, score_columns: Sequence[str], style: Style) -> None:
    """Write all rows."""
    with open(path, "w", encoding="utf-8-sig" if style.bom else "utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=style.separator, lineterminator="\n")
        writer.writerow(["path", "labels", "label_scores", *(f"score:{name}" for name in score_columns)])
        for rows in shards:
            for row in rows:
                names = cell(";".join(entry["label"] for entry in row["labels"]))
                scores = ";".join(str(entry["score"]) for entry in row["labels"])
                writer.writerow([cell(row["path"]), names, scores, *(row["scores"][n] for n in score_columns)])
