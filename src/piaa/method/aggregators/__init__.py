"""Aggregators: how the probabilities of an image's patches become one of the image (inside eq. 12).

A new one is a file beside these and an entry in `AGGREGATORS`.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from piaa.errors import InputError
from piaa.method.aggregators.maximum import max_over_patches
from piaa.method.aggregators.mean_of_best import mean_of_top
from piaa.method.aggregators.smooth import soft_maximum

__all__ = ["AGGREGATORS", "Aggregator", "get_aggregator", "max_over_patches", "mean_of_top", "soft_maximum"]

Aggregator = Callable[[Tensor], Tensor]
"""Patch probabilities N x M x C (row-major over the grid) to N x C; each image by itself."""

AGGREGATORS: dict[str, Aggregator] = {
    "max": max_over_patches,
    **{f"mean-top-{count}": mean_of_top(count) for count in (2, 3, 5, 10)},
    "soft-max-20": soft_maximum(20.0),
}
"""By the name that a recipe gives; `piaa.extensions.register_aggregator` adds to them."""


def get_aggregator(name: str) -> Aggregator:
    """The aggregator of that name.

    Raises:
        InputError: naming those that exist.
    """
    if name not in AGGREGATORS:
        raise InputError(
            f"no aggregator is called {name!r}; choose one of: {', '.join(AGGREGATORS)} (your own: --extension FILE)"
        )
    return AGGREGATORS[name]
