"""One pass over the tower gives both embeddings: the plain [CLS] and the front-end's patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from piaa.vision.front_ends import FrontEnd, Trace, get_front_end
from piaa.vision.towers.base import Grid, Tower


@dataclass(frozen=True)
class Encoded:
    """What one batch of images became. Nothing is normalised; everything is float32.

    Attributes:
        cls: image embeddings, `N x d`, those of the unchanged tower.
        patches: the front-end's patch embeddings, `N x M x d`, row-major over the grid.
        grid: (rows, columns), M = rows * columns; with several views (`piaa.vision.views`) that of the last one.
    """

    cls: Tensor
    patches: Tensor
    grid: Grid


class ImageEncoder(Protocol):
    """What turns images into embeddings: `Encoder`, or one of the engines of `piaa.vision.runtimes`.

    Attributes:
        tower: the image tower, which says the sizes and the device.
        front_end: where the patches come from.
    """

    tower: Tower
    front_end: FrontEnd

    def __call__(self, images: Tensor) -> Encoded:
        """Encode normalised images `N x 3 x H x W`."""
        ...


class Encoder(nn.Module):
    """A frozen tower with a front-end (PIAA section 4.3).

    Blocks 1 to L-1 run once; then the last block runs plainly, as far as [CLS] needs it, and as the front-end
    rewrites it. The result for an image does not depend on the batch that it is in.

    Args:
        tower: the image tower; its dtype and device are the encoder's.
        front_end: a name of `piaa.vision.front_ends.FRONT_ENDS`, or a `FrontEnd`.

    Raises:
        ModelError: for a front-end that does not exist.
    """

    def __init__(self, tower: Tower, front_end: FrontEnd | str = "sc-clip") -> None:
        super().__init__()
        self.tower = tower.eval()
        self.front_end = get_front_end(front_end) if isinstance(front_end, str) else front_end

    @torch.no_grad()
    def forward(self, images: Tensor) -> Encoded:
        """Encode normalised images `N x 3 x H x W`; H and W are multiples of the patch, square or not.

        Raises:
            InputError: when they are not.
        """
        tower = self.tower
        trace = trace_of(tower, images, self.front_end)
        patches = self.front_end(tower, trace)  # first: what it computes of the plain last block, [CLS] takes over
        return Encoded(_cls_of(tower, trace).float(), patches.float(), trace.grid)


def _cls_of(tower: Tower, trace: Trace) -> Tensor:
    """The image embeddings `N x d`.

    On a CPU one image after another: these products have one row an image, and a library adds up a product of few
    rows in another order than one of many, so that the last bits would tell of the batch. Patches have many rows.
    """
    tokens, heads = trace.before(tower.depth), trace.heads.get(tower.depth)
    if tokens.device.type != "cpu" or torch.compiler.is_compiling():  # a graph holds for any number of images
        return tower.last_block_cls(tokens, trace.grid, heads)
    found = []
    for index in range(len(tokens)):
        row = slice(index, index + 1)
        own = None if heads is None else (heads[0][row], heads[1][row], heads[2][row])
        found.append(tower.last_block_cls(tokens[row], trace.grid, own))
    return torch.cat(found)


def trace_of(tower: Tower, images: Tensor, front_end: FrontEnd) -> Trace:
    """`run_blocks` for what one front-end reads."""
    return run_blocks(tower, images, front_end.needs(tower.depth), front_end.needs_heads(tower.depth))


def run_blocks(
    tower: Tower, images: Tensor, needed: frozenset[int], needed_heads: frozenset[int] = frozenset()
) -> Trace:
    """Blocks 1 to L-1 on normalised images `N x 3 x H x W`, cast to the tower's device and dtype.

    Args:
        tower: the tower.
        images: the images.
        needed: the block numbers whose outputs to keep (0: the embedding); that of block L-1 is always kept.
        needed_heads: the block numbers, below L, whose queries, keys and values to keep.

    Raises:
        InputError: when H or W is not a multiple of the patch.
    """
    tokens, grid = tower.embed(images.to(device=tower.device, dtype=tower.dtype))
    needed = needed | {tower.depth - 1}
    states = {0: tokens} if 0 in needed else {}
    kept = {}
    for number in range(1, tower.depth):
        heads = tower.qkv(number - 1, tokens, grid)
        tokens = tower.finish_block(number - 1, tokens, heads)
        if number in needed:
            states[number] = tokens
        if number in needed_heads:
            kept[number] = heads
        del heads  # its memory serves the next block
    return Trace(states, grid, kept)
