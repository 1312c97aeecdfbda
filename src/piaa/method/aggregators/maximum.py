"""The maximum over patches, as published."""

from __future__ import annotations

from torch import Tensor


def max_over_patches(probabilities: Tensor) -> Tensor:
    """The greatest probability of each class over an image's patches, inside eq. 12: N x M x C to N x C."""
    return probabilities.amax(dim=1)
