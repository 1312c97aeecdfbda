"""Metrics by name: the package's own, and those that a researcher adds.

    from piaa.evaluation.metrics import register_metric

    @register_metric("one-error")
    def one_error(scores, labels):
        best = scores.argmax(dim=1, keepdim=True)
        return 1 - labels.gather(1, best).float().mean()

It then has intervals and comparisons like every other, and is shown by `piaa --extension FILE.py eval`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import Tensor

from piaa.errors import InputError

Metric = Callable[[Tensor, Tensor], float]
"""Scores N x C and labels N x C to one number."""

Resampled = Callable[[Tensor], Tensor]
"""Weights N x B, how often each image is drawn, to ... x B values."""

METRICS: dict[str, Metric] = {}
"""Every metric by name."""

RESAMPLED: dict[Metric, Callable[[Tensor, Tensor], Resampled]] = {}
"""Metrics that all resamples can be taken of at once. They are fractions, 0..1."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_@.+-]{0,39}")
_OWN: list[str] = []


def register_metric(name: str) -> Callable[[Metric], Metric]:
    """A decorator that enters a function of (scores N x C, labels N x C) under a name.

    Args:
        name: 1 to 40 letters, digits and `_@.+-`, beginning with a letter or digit.

    Raises:
        InputError: a name that is not so, or that another metric has (large and small letters are the same).
    """
    _check(name)

    def enter(metric: Metric) -> Metric:
        if not callable(metric):
            raise InputError(f"metric {name!r}: {metric!r} is no function of (scores, labels)")
        METRICS[name] = metric
        return metric

    return enter


def register(name: str, metric: Metric, resampled: Callable[[Tensor, Tensor], Resampled]) -> None:
    """Enter a metric of the package, whose resamples are taken all at once."""
    METRICS[name] = metric
    RESAMPLED[metric] = resampled
    _OWN.append(name)


def registered_metrics() -> dict[str, Metric]:
    """Those that were added to the package's own."""
    return {name: metric for name, metric in METRICS.items() if name not in _OWN}


def metric_named(metric: str | Metric) -> Metric:
    """A metric by its name; a function is given back as it is.

    Raises:
        InputError: naming those that exist.
    """
    if not isinstance(metric, str):
        return metric
    if metric not in METRICS:
        raise InputError(f"no metric is called {metric!r}; choose one of: {', '.join(METRICS)}")
    return METRICS[metric]


def _check(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a metric: 1 to 40 letters, digits and _@.+- are allowed, a letter or digit first"
        )
    taken = {known.lower(): known for known in METRICS}
    if name.lower() in taken:
        known = taken[name.lower()]
        where = getattr(METRICS[known], "__module__", "?")
        raise InputError(f"a metric called {known!r} is there already, from {where}; choose another name than {name!r}")
