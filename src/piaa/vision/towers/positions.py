"""Positional embeddings at a size other than the trained one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


def bilinear_half(positions: Tensor, trained: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """The same by bilinear interpolation, rounded to half precision, as TagCLIP's (arXiv 2312.12828) published code."""
    if trained == grid:
        return positions
    image = positions.float().T.reshape(1, -1, *trained)
    resampled = F.interpolate(image, size=grid, mode="bilinear", align_corners=False)
    return resampled[0].flatten(1).T.half().to(positions.dtype)


@dataclass(frozen=True)
class Resample:
    """How learnt positions come to another grid than the trained one.

    Attributes:
        patches: positions `rows * cols x D`, the grid that they cover and the grid wanted, to positions of that.
        prefix: the positions of [CLS] and the like, where the grid is another one.
    """

    patches: Callable[[Tensor, tuple[int, int], tuple[int, int]], Tensor]
    prefix: Callable[[Tensor], Tensor]


BICUBIC = Resample(resample_positions, lambda prefix: prefix)
BILINEAR_HALF = Resample(bilinear_half, lambda prefix: prefix.half().to(prefix.dtype))
POSITIONS: dict[str, Resample] = {"bicubic": BICUBIC, "bilinear-half": BILINEAR_HALF}
"""By name."""
