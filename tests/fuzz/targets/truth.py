"""Truth files: CSV in both layouts, JSON lines and Parquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from piaa.evaluation.truth import read_truth

from ..harness import Seed, Target

NAMES = ["cat", "dog", "umbrella"]
SEEDS = {
    ".csv": (
        'path,labels,sizes\na.jpg,cat;dog,"{""cat"": 0.5}"\n"b, c.jpg",,\n',
        "path,cat,dog,umbrella\na.jpg,0,1,1\nb.jpg,1,0,0\n",
    ),
    ".jsonl": (
        '{"path": "a.jpg", "labels": ["cat", "dog"], "sizes": {"dog": 1}}\n{"path": "b.jpg", "labels": []}\n',
        '\ufeff\n{"path": "a.jpg", "labels": ["cat"]}',
    ),
}


def seeds(folder: Path) -> list[Seed]:
    found = [Seed(text.encode(), suffix) for suffix, texts in SEEDS.items() for text in texts]
    for labels in ([["cat", "dog"], []], ["cat;dog", None]):
        pq.write_table(pa.table({"path": ["a.jpg", "b.jpg"], "labels": labels}), folder / "seed.parquet")
        found.append(Seed((folder / "seed.parquet").read_bytes(), ".parquet"))
    return found


def read(data: bytes, suffix: str, folder: Path) -> None:
    path = folder / f"truth{suffix}"
    path.write_bytes(data)
    truth = read_truth(path, NAMES)
    for name in truth.labels:
        truth.find(name)
    sizes = truth.size_matrix(list(truth.labels))
    assert ((sizes >= 0) & (sizes <= 1) | np.isnan(sizes)).all()


TARGET = Target("truth", seeds, read)
