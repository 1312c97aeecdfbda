"""Formats of the rows that `piaa tag` writes, one file each; `piaa.jobs.tables` has the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Shards = Iterable[list[Row]]
Writer = Callable[[Path, Shards, Sequence[str]], None]
"""Path, lists of rows, and the classes whose scores are written for every image."""
