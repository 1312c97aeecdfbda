"""`.parquet`: labels as a list of structs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from piaa.jobs.formats import Shards


def write(path: Path, shards: Shards, score_columns: Sequence[str]) -> None:
    """Write all rows."""
    labels = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())]))
    scores = [(f"score:{name}", pa.float64()) for name in score_columns]
    schema = pa.schema([("path", pa.string()), ("labels", labels), *scores])
    with pq.ParquetWriter(path, schema) as writer:
        for rows in shards:
            columns = [[row["path"] for row in rows], [row["labels"] for row in rows]]
            columns += [[row["scores"][name] for row in rows] for name in score_columns]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
