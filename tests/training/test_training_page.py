"""docs/training.md lists every method with the regime and the teacher of its file."""

from __future__ import annotations

import json
import re
from pathlib import Path

from piaa.training import METHODS
from piaa.training.spec import read_method

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_page_lists_every_method_as_its_file_has_it() -> None:
    part = PAGE.partition("## The methods")[2].partition("\n## ")[0]
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("| `")
    ]
    listed = {cells[0].strip("`"): tuple(cells[1:4]) for cells in lines}
    methods = {name: read_method(name) for name in METHODS}
    assert listed == {name: (m.row, m.regime, m.teacher) for name, m in methods.items()}


def test_the_numbers_of_the_page_are_those_of_the_stored_runs() -> None:
    rows = json.loads((ROOT / "docs" / "bench" / "trained.json").read_text())["rows"]
    part = PAGE.partition("## Every method on drawn scenes")[2]
    printed = dict(re.findall(r"^\| `?([\w-]+)`? \|.* \| ([\d.]+) ± ", part, re.MULTILINE))
    runs = json.loads((ROOT / "docs" / "bench" / "distil.json").read_text())["runs"]
    seeds = {row["seed"] for row in rows}
    later = {"PIAA": "PIAA", "distil": "distil on piaa's labels"}  # measured again when the default recipe changed
    for name in ("PIAA", *METHODS):
        values = [row["map"] for row in rows if row["method"] == name and row["head"] == "class-wise"]
        if name in later:
            values = [run["rows"][later[name]]["map"] for run in runs if run["seed"] in seeds]
        assert len(values) == len(seeds)
        assert printed[name] == f"{sum(values) / len(values):.1f}", name
    together = [run["rows"]["PIAA and gr together"] for run in runs]
    assert f"**{sum(row['map'] for row in together) / len(together):.1f}**" in PAGE
    for row in together:
        assert f"**{row['difference']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]**" in PAGE


def test_the_numbers_of_the_small_network_are_those_of_its_run() -> None:
    found = json.loads((ROOT / "docs" / "bench" / "edge.json").read_text())
    part = PAGE.partition("<!-- edge: begin -->")[2].partition("<!-- edge: end -->")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:1] == "|"]
    printed = {cells[0]: cells[1:] for cells in lines[2:]}
    names = {
        "PIAA, the teacher": "PIAA",
        "[CLS]": "[CLS]",
        "the network as ONNX": "network",
        "the network in 8 bits": "network, 8 bits",
    }
    assert set(printed) == set(names)
    for title, (ap, cf1, size, speed) in printed.items():
        row = found["rows"][names[title]]
        assert ap == f"{row['map']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"
        assert cf1 == f"{row['cf1']:.1f}"
        assert size == (f"{row['megabytes']:.2f}" if "megabytes" in row else "")
        assert speed == (f"{row['speed']:.1f}" if "speed" in row else "")
    assert found["onnx_apart"] < 1e-5
    assert f"{found['epochs']} epochs, no true label" in part


def test_the_gain_at_the_size_of_a_fit_is_that_of_the_stored_run() -> None:
    runs = json.loads((ROOT / "docs" / "bench" / "together.json").read_text())["runs"]
    for run in runs:
        row = run["rows"]["PIAA and gr together"]
        assert f"**{row['difference']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]**" in PAGE
