"""A smooth maximum."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def soft_maximum(sharpness: float) -> Callable[[Tensor], Tensor]:
    """log(mean exp(sharpness p)) / sharpness over patches: the maximum for a great sharpness, the mean for a small."""

    def aggregate(probabilities: Tensor) -> Tensor:
        patches = torch.tensor(float(probabilities.shape[1]), dtype=probabilities.dtype)
        return (torch.logsumexp(sharpness * probabilities, dim=1) - patches.log()) / sharpness

    return aggregate
