"""How many failed images a run may have: `--max-errors 100` or `--max-errors 2%`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from piaa.errors import InputError


@dataclass(frozen=True)
class ErrorLimit:
    """A number of images, or a share of them.

    Attributes:
        count: at most so many, if given.
        share: at most this share of all images, 0 to 1, if given.
    """

    count: int | None = None
    share: float | None = None

    def passed(self, failed: int, total: int | None) -> bool:
        """Whether it is certain that too many failed; `total` is None as long as it is not known."""
        if self.count is not None:
            return failed > self.count
        return self.share is not None and total is not None and failed > self.share * total

    def __str__(self) -> str:
        return str(self.count) if self.share is None else f"{self.share * 100:g}%"


def parse_max_errors(text: str | None) -> ErrorLimit | None:
    """What `--max-errors` was given.

    Raises:
        InputError: neither a whole number nor a percentage from 0% to 100%.
    """
    if text is None:
        return None
    number = text.strip()
    if number.isdecimal():
        return ErrorLimit(count=int(number))
    if number.endswith("%"):
        try:
            share = float(number[:-1]) / 100
        except ValueError:
            share = math.nan
        if 0 <= share <= 1:
            return ErrorLimit(share=share)
    raise InputError(f"--max-errors {text}: give a number of images, such as 100, or a share of them, such as 2%")
