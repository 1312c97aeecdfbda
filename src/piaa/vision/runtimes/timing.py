"""Timing in turns: every case once a repetition, forwards then backwards, so that a drift meets all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Spread:
    """A median and the least and greatest of what was measured.

    Attributes:
        median: of the repetitions.
        low: the least.
        high: the greatest.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one value or more."""
        return cls(statistics.median(values), min(values), max(values))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def in_turns(
    cases: Mapping[str, Callable[[], object]],
    repeats: int,
    warm_up: int = 1,
    tick: Callable[[], None] | None = None,
) -> dict[str, list[float]]:
    """Seconds of each call of each case, `repeats` of them.

    Args:
        cases: what to run; each call does the same work and has finished it when it returns.
        repeats: repetitions that count.
        warm_up: repetitions before, that do not.
        tick: called after each call.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for repetition in range(-warm_up, repeats):
        order = list(cases) if repetition % 2 == 0 else list(cases)[::-1]
        for name in order:
            start = time.perf_counter()
            cases[name]()
            elapsed = time.perf_counter() - start
            if repetition >= 0:
                seconds[name].append(elapsed)
            if tick:
                tick()
    return seconds


def ratio(reference: Sequence[float], other: Sequence[float]) -> Spread:
    """The rate of `other` as a multiple of the rate of `reference`, repetition by repetition: 2 is twice as fast."""
    return Spread.of([slow / fast for slow, fast in zip(reference, other, strict=True)])
