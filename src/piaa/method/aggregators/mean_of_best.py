"""The mean of the best patches of a class."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def mean_of_top(count: int) -> Callable[[Tensor], Tensor]:
    """The aggregator that takes the mean of the `count` greatest probabilities of a class; 1 is the maximum."""

    def aggregate(probabilities: Tensor) -> Tensor:
        return probabilities.topk(min(count, probabilities.shape[1]), dim=1).values.mean(dim=1)

    return aggregate
