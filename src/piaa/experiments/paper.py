"""The paper's own figures (arXiv 2605.25821v1, tables 1 to 6 and section 4.4), as data: `paper.json`."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

Figures = dict[str, dict[str, float | None]]


@cache
def _tables() -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(files("piaa.experiments").joinpath("paper.json").read_text(encoding="utf-8"))
    return tables


def paper_figures(key: str) -> Figures:
    """Line of a table to column to value; groups of lines (table 1) are put one after the other.

    Empty for a key that is no table of lines.
    """
    table = _tables().get(key, {})
    columns = table.get("columns", [])
    lines: Figures = {}
    for name, value in table.items():
        if isinstance(value, list) and name != "columns" and len(value) == len(columns):
            lines[name] = dict(zip(columns, value, strict=True))
        elif isinstance(value, dict):
            lines |= {row: dict(zip(columns, cells, strict=True)) for row, cells in value.items()}
    return lines


def best_of_figure4() -> dict[str, float]:
    """The optimum that the paper states: `K` and `alpha`."""
    figure = _tables()["figure4"]
    return {"K": float(figure["best_K"]), "alpha": float(figure["best_alpha"])}
