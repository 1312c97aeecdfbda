"""An image's patches cut down to a few vectors that stand for them, so that an index stays small."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

PIECES = 32
"""Vectors that are kept of an image's patches; `benchmarks/search.py` measures what that costs."""


def pieces_of(patches: Tensor, grid: tuple[int, int], count: int = PIECES) -> Tensor:
    """Means over squares of 2 x 2 patches, and of those the ones that are farthest from each other.

    The first is the one farthest from their mean. A text is nearest to what lies at the rim of an image's patches,
    and that is what this choice keeps. Each image is treated by itself.

    Args:
        patches: N x M x d, row-major over the grid.
        grid: (rows, columns), M = rows * columns. An odd last row or column has squares of what is there.
        count: how many to keep; all of them where there are no more.

    Returns:
        N x min(count, number of squares) x d, of unit length, float32.
    """
    whole = patches.float().transpose(1, 2).reshape(len(patches), -1, *grid)
    unit = F.normalize(F.avg_pool2d(whole, 2, ceil_mode=True).flatten(2).transpose(1, 2), dim=-1)
    if unit.shape[1] <= count:
        return unit
    nearest = _cosine(unit, F.normalize(unit.mean(dim=1), dim=-1))  # of each square to those that are chosen
    rows = torch.arange(len(unit), device=unit.device)
    chosen = [nearest.argmin(dim=1)]
    nearest = torch.full_like(nearest, -1.0)
    for _ in range(count - 1):
        nearest = torch.maximum(nearest, _cosine(unit, unit[rows, chosen[-1]]))
        chosen.append(nearest.argmin(dim=1))
    return unit[rows[:, None], torch.stack(chosen, dim=1)]


def _cosine(unit: Tensor, one: Tensor) -> Tensor:
    """N x M x d and N x d to N x M."""
    return (unit @ one[:, :, None]).squeeze(2)
