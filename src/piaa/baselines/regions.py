"""Connected regions of patch maps, and the boxes around them: many maps in one go."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

IN_PLANE = np.zeros((3, 3, 3), dtype=bool)
IN_PLANE[1] = True
"""Neighbours of a cell: the 8 around it in its own map, none in another map."""


def scaled(maps: Tensor) -> Tensor:
    """Each map to 0..1 by its own least and greatest value.

    Args:
        maps: `... x M`.

    Returns:
        The same shape; NaN throughout for a map whose values are all alike.
    """
    least = maps.amin(dim=-1, keepdim=True)
    shifted = maps - least
    return shifted / shifted.amax(dim=-1, keepdim=True)


def above_mean(maps: Tensor) -> Tensor:
    """Where maps, cut down to 8 bits, exceed their mean; TagCLIP's (arXiv 2312.12828) as its code computes it.

    A value becomes floor(255 value), and the cut is floor(mean * greatest of these).

    Args:
        maps: `... x M`, 0 to 1; a map of NaN exceeds nothing.
    """
    grey = (maps.nan_to_num(0.0) * 255).floor()
    cut = (maps.nan_to_num(0.0).mean(dim=-1, keepdim=True) * grey.amax(dim=-1, keepdim=True)).floor()
    return grey > cut


def region_boxes(marked: Tensor, grid: tuple[int, int]) -> Tensor:
    """The union of the bounding boxes of a map's connected regions, as a mask.

    Regions are connected by their 8 neighbours. A box's lower and right ends are held to rows - 1 and columns - 1 and
    are not part of it, so that the last row and the last column are in no box, as in TagCLIP's published code.

    Args:
        marked: `n x M`, bool, row-major over the grid.
        grid: (rows, columns), M = rows * columns.

    Returns:
        `n x M`, float32, 0 or 1.
    """
    rows, columns = grid
    regions, _ = ndimage.label(marked.cpu().numpy().reshape(-1, rows, columns), structure=IN_PLANE)
    corners = np.array(
        [(at.start, y.start, y.stop, x.start, x.stop) for at, y, x in ndimage.find_objects(regions)], dtype=np.int64
    ).reshape(-1, 5)
    covered = _covered(corners, len(marked), rows, columns)
    return torch.from_numpy((covered > 0).reshape(len(marked), -1)).to(marked.device, torch.float32)


def _covered(corners: NDArray[np.int64], count: int, rows: int, columns: int) -> NDArray[np.int64]:
    """How many boxes cover each cell, by sums over what begins and ends there."""
    at, top, bottom, left, right = corners.T
    bottom, right = np.minimum(bottom, rows - 1), np.minimum(right, columns - 1)
    some = (bottom > top) & (right > left)
    at, top, bottom, left, right = (part[some] for part in (at, top, bottom, left, right))
    steps = np.zeros((count, rows + 1, columns + 1), dtype=np.int64)
    for y, x, sign in ((top, left, 1), (bottom, right, 1), (top, right, -1), (bottom, left, -1)):
        np.add.at(steps, (at, y, x), sign)
    covered: NDArray[np.int64] = steps.cumsum(axis=1).cumsum(axis=2)[:, :rows, :columns]
    return covered


def bounding_boxes(marked: Tensor, grid: tuple[int, int]) -> Tensor:
    """The one box around all marked cells of each map, its ends held as in `region_boxes`.

    Args:
        marked: `n x M`, bool.
        grid: (rows, columns).

    Returns:
        `n x 4` int64: top, bottom, left, right, the second and the fourth exclusive. Empty where top = bottom or
        left = right.
    """
    planes = marked.reshape(-1, *grid)
    ends = [_first_and_last(planes.any(dim=axis), size) for axis, size in ((2, grid[0]), (1, grid[1]))]
    return torch.stack([*ends[0], *ends[1]], dim=1)


def _first_and_last(present: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """First marked place and the end of the last, held to `size - 1`; 0 and 0 where none is marked."""
    places = torch.arange(size, device=present.device)
    some = present.any(dim=1)
    first = torch.where(present, places, size).amin(dim=1)
    last = torch.where(present, places, -1).amax(dim=1) + 1
    zero = torch.zeros_like(first)
    return torch.where(some, first, zero), torch.where(some, last.clamp(max=size - 1), zero)
