"""Positional embeddings at a size other than the trained one."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def resample_positions(positions: Tensor, trained: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Learnt positions of a patch grid at another grid, by bicubic interpolation.

    Args:
        positions: `rows * cols x D` in row-major order, no prefix.
        trained: (rows, columns) that `positions` covers.
        grid: (rows, columns) wanted.

    Returns:
        `grid[0] * grid[1] x D` in the dtype of `positions`; the very tensor given where the grids agree.
    """
    if trained == grid:
        return positions
    image = positions.float().T.reshape(1, -1, *trained)
    resampled = F.interpolate(image, size=grid, mode="bicubic", antialias=True, align_corners=False)
    return resampled[0].flatten(1).T.to(positions.dtype)
