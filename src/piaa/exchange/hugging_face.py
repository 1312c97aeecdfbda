"""Hugging Face `datasets`: a Parquet file whose columns it knows as images and classes."""

from __future__ import annotations

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq

from piaa.exchange.common import Exported, Options
from piaa.exchange.tag_table import TagTable
from piaa.files import whole_file

ROWS = 10_000  # in a row group


def export_hugging_face(table: TagTable, options: Options) -> Exported:
    """`image` (by path, decoded when it is asked for), `path`, `labels` (class numbers) and `scores`, best first."""
    out = options.target()
    result = Exported(len(table.rows), places=[out])
    missing = [row.path for row in table.rows if not os.path.isfile(options.file(row))]
    if missing:
        result.notes.append(f"{len(missing)} images are not there, so that they cannot be decoded: {missing[0]}, say")
    number = {name: index for index, name in enumerate(table.classes)}
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = {
        "image": {"_type": "Image"},
        "path": {"dtype": "string", "_type": "Value"},
        "labels": {"feature": {"names": table.classes, "_type": "ClassLabel"}, "_type": "List"},
        "scores": {"feature": {"dtype": "float64", "_type": "Value"}, "_type": "List"},
    }
    about = json.dumps({"info": {"features": features}}, ensure_ascii=False)
    columns = [("image", image), ("path", pa.string()), ("labels", pa.list_(pa.int64())),
               ("scores", pa.list_(pa.float64()))]  # fmt: skip
    schema = pa.schema(columns, metadata={"huggingface": about})
    with whole_file(out) as aside, pq.ParquetWriter(aside, schema) as writer:
        for at in range(0, max(1, len(table.rows)), ROWS):
            rows = table.rows[at : at + ROWS]
            values = {
                "image": [{"bytes": None, "path": str(options.file(row))} for row in rows],
                "path": [row.path for row in rows],
                "labels": [[number[name] for name in row.labels] for row in rows],
                "scores": [list(row.labels.values()) for row in rows],
            }
            writer.write_table(pa.table(values, schema=schema))
    return result
