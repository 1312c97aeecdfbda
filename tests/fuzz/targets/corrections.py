"""Corrections from other programs, as `piaa import` reads them: Label Studio, CVAT, FiftyOne, CSV."""

from __future__ import annotations

import json
from pathlib import Path

from piaa.exchange.cvat import read_cvat
from piaa.exchange.fifty_one import read_fifty_one_files
from piaa.exchange.label_studio import read_label_studio
from piaa.exchange.one_hot import read_csv

from ..harness import Seed, Target

TASKS = [
    {"data": {"path": "a.jpg"}, "annotations": [{"result": [{"value": {"choices": ["cat"]}}], "was_cancelled": False}]},
    {"image": "/data/local-files/?d=b.jpg", "labels": {"choices": ["dog", "cat"]}},
    {"image": "/data/local-files/?d=c.jpg", "labels": "dog"},
]
CVAT = """<?xml version="1.0" encoding="utf-8"?><annotations><image id="0" name="a.jpg" width="8" height="8">
<tag label="cat" source="auto"><attribute name="score">0.9</attribute></tag><box label="dog"/></image></annotations>"""
SAMPLES = {"samples": [{"filepath": "a.jpg", "ground_truth": {"_cls": "Classifications", "classifications": [
    {"_cls": "Classification", "label": "cat"}]}}]}  # fmt: skip


def seeds(folder: Path) -> list[Seed]:
    found = {".tasks": json.dumps(TASKS), ".xml": CVAT, ".samples": json.dumps(SAMPLES)}
    csv = (".csv", "path,cat,dog\na.jpg,1,0\nb.jpg,0,1\n")
    return [Seed(text.encode(), suffix) for suffix, text in [*found.items(), csv]]


def read(data: bytes, suffix: str, folder: Path) -> None:
    readers = {
        ".tasks": read_label_studio, ".xml": read_cvat, ".samples": read_fifty_one_files, ".csv": read_csv,
    }  # fmt: skip
    path = folder / f"corrections{'.json' if suffix in ('.tasks', '.samples') else suffix}"
    path.write_bytes(data)
    for row in readers[suffix](path):
        assert isinstance(row.path, str)
        assert all(isinstance(name, str) for name in row.labels)


TARGET = Target("corrections", seeds, read)
