"""XMP sidecars that are there already, into which keywords are merged."""

from __future__ import annotations

from pathlib import Path

from piaa.exchange.sidecars import EMPTY, keywords_in, merged

from ..harness import Seed, Target


def seeds(folder: Path) -> list[Seed]:
    fresh = merged(EMPTY.encode(), ["cat", "dog"])
    return [Seed(fresh), Seed(merged(fresh, ["=umbrella", "a|b"], "mine", replace=True))]


def read(data: bytes, suffix: str, folder: Path) -> None:
    again = merged(data, ["zebra"])
    assert "zebra" in keywords_in(again), "the keyword is not in what was written"


TARGET = Target("sidecars", seeds, read)
