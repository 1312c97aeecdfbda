"""A few images with hostile names, tagged by hand; and the programs of other environments that read exports."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from piaa.exchange import TagRow, TagTable

CLASSES = ["umbrella", 'say "hi" & <b>', "=1+1", "fish|trout", "two\nlines", "ünï 傘"]
ROWS = [
    ("plain.jpg", {"umbrella": 0.91, "ünï 傘": 0.6}),
    ("sub/with space & 'quote'.png", {'say "hi" & <b>': 0.8}),
    ("sub/ünï.tiff", {"=1+1": 0.77, "fish|trout": 0.5, "two\nlines": 0.5}),
    ("=cmd.jpg", {}),
]


def make_images(folder: Path) -> None:
    for number, (name, _) in enumerate(ROWS):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (18 + number, 24, 3), np.uint8)
        Image.fromarray(pixels).save(path)


def make_table(rows: list[tuple[str, dict[str, float]]] = ROWS) -> TagTable:
    return TagTable([TagRow(path, dict(labels)) for path, labels in rows], CLASSES, {}, Path("tags.jsonl"))


def reader(name: str) -> Path:
    """The Python of an environment of its own that holds a program which would change the versions pinned here."""
    folder = os.environ.get("PIAA_READERS")
    python = Path(folder or "/none") / name / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"no {name} here: make readers; PIAA_READERS=$PWD/.readers make test")
    return python


def ask(python: Path, code: str, *arguments: str | Path) -> object:
    """What a program in another environment prints as JSON."""
    command = [str(python), "-c", code, *map(str, arguments)]
    environment = {**os.environ, "FIFTYONE_DO_NOT_TRACK": "true", "DO_NOT_TRACK": "1", "PYTHONPATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])
