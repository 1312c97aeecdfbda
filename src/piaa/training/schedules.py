"""What changes over the epochs: plain functions of the epoch, declared in a method's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from piaa.errors import InputError

Schedule = Callable[[int, int], float]
"""(epoch counted from 0, how many there are) to a number."""


def line(start: float, end: float, offset: int = 0) -> Schedule:
    """start + (end - start) (epoch + offset) / epochs: GR Loss moves (w, b) with offset 0, (mu, sigma) with 1."""
    return lambda epoch, epochs: start + (end - start) * (epoch + offset) / epochs


def growing(by: float) -> Schedule:
    """`by` times the epoch: the share of large losses; the first epoch is untouched (Kim et al., CVPR 2022)."""
    return lambda epoch, epochs: by * epoch


def from_epoch(first: int, value: float, before: float = 0.0) -> Schedule:
    """`value` from the epoch `first` on, `before` until then: warm-ups."""
    return lambda epoch, epochs: value if epoch >= first else before


def falling(start: float, step: float, least: float, first: int) -> Schedule:
    """`start` until the epoch `first`, then `step` less each epoch, never below `least`: SST's margins."""
    return lambda epoch, epochs: max(least, start - step * max(0, epoch - first))


def every(epochs: int, value: float = 1.0, after: int = 0) -> Schedule:
    """`value` in each `epochs`-th epoch, once `after` epochs are done; else 0: updates now and then."""
    return lambda epoch, _: value if epoch >= after and (epoch + 1) % epochs == 0 else 0.0


KINDS: dict[str, Callable[..., Schedule]] = {
    "line": line,
    "growing": growing,
    "from-epoch": from_epoch,
    "falling": falling,
    "every": every,
}
"""By the name in a method's file."""


def schedule_of(values: Mapping[str, Any] | float) -> Schedule:
    """A schedule from its declaration: a number, or a table with `kind` and its arguments.

    Raises:
        InputError: an unknown kind or argument.
    """
    if not isinstance(values, Mapping):
        constant = float(values)
        return lambda epoch, epochs: constant
    arguments = dict(values)
    kind = arguments.pop("kind", None)
    if kind not in KINDS:
        raise InputError(f"no schedule is called {kind!r}; choose one of: {', '.join(KINDS)}")
    try:
        return KINDS[kind](**arguments)
    except TypeError as error:
        raise InputError(f"schedule {kind!r}: {error}") from error
