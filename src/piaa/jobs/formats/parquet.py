"""`.parquet`: labels as a list of structs, all scores as a list of fixed length in the order of the classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from piaa.jobs.formats import FOREIGN, Shards, Style

LABELS = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())]))


def write(path: Path, shards: Shards, score_columns: Sequence[str], style: Style) -> None:
    """Write all rows. The metadata key `piaa` holds what the file says about itself, its classes among it."""
    scores = [("scores", pa.list_(pa.float64(), len(score_columns)))] if score_columns else []
    about = {**style.about, "classes": list(score_columns)} if score_columns else style.about
    metadata = {"piaa": json.dumps(about, ensure_ascii=False)} if about else None
    foreign = [(FOREIGN, pa.bool_())] if style.about.get(FOREIGN) else []
    schema = pa.schema([("path", pa.string()), ("labels", LABELS), *foreign, *scores], metadata=metadata)
    with pq.ParquetWriter(path, schema) as writer:
        for rows in shards:
            columns = [[row[name] for row in rows] for name in schema.names if name != "scores"]
            if score_columns:
                columns.append([[row["scores"][name] for name in score_columns] for row in rows])
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
