"""The examples run as printed, small, and give what they say."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


def run(script: str, *arguments: object, cwd: Path) -> str:
    command = [sys.executable, ROOT / "examples" / script, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_photographs(tmp_path: Path) -> None:
    output = run("photographs.py", "--images", 24, cwd=tmp_path)
    with open(tmp_path / "example-output" / "tags.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    labelled = sum(bool(row["labels"]) for row in rows)
    assert len(rows) == 24 and f"{labelled} of 24 pictures have a label" in output
    with Image.open(tmp_path / "example-output" / "why.png") as picture:
        assert picture.width > 500


def test_nightly_twice(tmp_path: Path) -> None:
    for _ in range(2):
        output = run("nightly.py", "--images", 24, cwd=tmp_path)
        assert re.search(r"24 tagged, 1 failed", output)
        assert "broken.jpg: not a JPEG" in output


@pytest.mark.parametrize("images", [40])
def test_own_part(tmp_path: Path, images: int) -> None:
    output = run("own_part.py", "--images", images, cwd=tmp_path)
    first, second = (float(re.search(rf"{name}: mAP ([\d.]+)", output)[1]) for name in ("default", "median"))  # type: ignore[index]
    difference = float(re.search(r"default: ([+-][\d.]+) points", output)[1])  # type: ignore[index]
    assert difference == pytest.approx(second - first, abs=0.11)
