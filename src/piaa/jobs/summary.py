"""What a batch job did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[int, int], None]
"""Told (images done, images in all) after each batch."""


def silent(done: int, total: int) -> None:
    """A progress callback that shows nothing."""


@dataclass(frozen=True)
class Summary:
    """Counts of one job.

    Attributes:
        images: offered, in all.
        done: read and used (those of an earlier, resumed run included).
        failed: could not be read; each is a line of `errors_path`.
        resumed_at: images that an earlier run had already dealt with; 0 for a fresh run.
        seconds: of this run.
        errors_path: the error log, where any image failed.
    """

    images: int
    done: int
    failed: int
    resumed_at: int
    seconds: float
    errors_path: Path | None
