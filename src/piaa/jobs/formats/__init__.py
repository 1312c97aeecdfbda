"""The output formats of `piaa tag`: a file each; `piaa.jobs.tables` has the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOREIGN = "foreign"
"""In a row, and in what a file says of itself: whether the image is unlike those of the fit, and so has no label."""
Row = dict[str, Any]
Shards = Iterable[list[Row]]


@dataclass(frozen=True)
class Style:
    """How a table is written, beside its rows.

    Attributes:
        about: what the file says about itself: first record of JSON lines, metadata of Parquet; empty for nothing.
        separator: between the cells of a CSV.
        bom: whether a CSV begins with a byte order mark, by which Excel knows UTF-8.
    """

    about: dict[str, Any] = field(default_factory=dict)
    separator: str = ","
    bom: bool = False


Writer = Callable[[Path, Shards, Sequence[str], Style], None]
"""Path, lists of rows, the classes whose scores are written for every image, and the style."""
