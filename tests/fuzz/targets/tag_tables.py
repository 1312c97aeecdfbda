"""Tables that `piaa tag` writes, read back by `piaa.exchange`; what is read is exported too."""

from __future__ import annotations

from pathlib import Path

from piaa.exchange import EXPORTS, Options, export_tags, read_tags
from piaa.jobs.tables import output_endings, write_table

from ..harness import Seed, Target

ROWS = [
    {"path": "a.jpg", "labels": [{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.6}],
     "scores": {"cat": 0.9, "dog": 0.6}},
    {"path": "b/c d.jpg", "labels": [], "scores": {"cat": 0.1, "dog": 0.2}},
]  # fmt: skip
BESIDE_IMAGES = [name for name, each in EXPORTS.items() if each.ending in (".json", ".xml", ".csv")]


def seeds(folder: Path) -> list[Seed]:
    found = []
    for suffix in output_endings():
        for columns in ([], ["cat", "dog"]):
            path = folder / f"seed{suffix}"
            write_table(path, suffix, [ROWS], columns)
            found.append(Seed(path.read_bytes(), suffix))
    about = b'{"classes": ["cat"], "version": "1"}\n{"path": "a.jpg", "labels": []}\n'
    return [*found, Seed(about, ".jsonl"), Seed(b'# {"model": "x"}\npath,labels,label_scores\na,cat,0.5\n', ".csv")]


def read(data: bytes, suffix: str, folder: Path) -> None:
    path = folder / f"tags{suffix}"
    path.write_bytes(data)
    table = read_tags(path)
    for row in table.rows:
        assert 0 <= row.doubt <= 1 or max(row.labels.values(), default=0) > 1, row
    for name in BESIDE_IMAGES:
        export_tags(table, name, Options(folder / f"out{EXPORTS[name].ending}", folder))


TARGET = Target("tag-tables", seeds, read, share=1.5)
