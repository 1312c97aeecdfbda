"""What a front-end is: a pure function from a tower and the trace of its blocks to patch embeddings.

Block numbers in the papers are those of a 12-block tower, counted from 1. `scaled_block` is the one rule by
which they move to another depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor
from torch.nn import functional as F

from piaa.vision.towers.base import Grid, Heads, Tower

PAPER_DEPTH = 12
"""Depth of the tower (ViT-B/16) for which the papers give their block numbers."""


def scaled_block(number: int, depth: int) -> int:
    """The block of a `depth`-block tower that stands for block `number` (1-based) of the papers' 12.

    The rule: `number * depth / 12`, rounded half up, at least 1 and at most `depth - 1` (the last block is
    always the rewritten one). ViT-L/14 has 24 blocks, so every number doubles.
    """
    return max(1, min(depth - 1, (2 * number * depth + PAPER_DEPTH) // (2 * PAPER_DEPTH)))


@dataclass(frozen=True)
class Trace:
    """The tokens that blocks 1 to L-1 of one pass left behind, as far as the front-end asked for them.

    Attributes:
        states: block number (0 is the embedding, b the output of block b) to tokens `N x T x D`.
        grid: (rows, columns) of patches.
        heads: block number to its queries, keys and values, as far as they are known; see `qkv`.
    """

    states: Mapping[int, Tensor]
    grid: Grid
    heads: dict[int, Heads] = field(default_factory=dict)

    def after(self, block: int) -> Tensor:
        """Tokens after block `block` (1-based; 0: as embedded)."""
        return self.states[block]

    def before(self, block: int) -> Tensor:
        """Tokens at the input of block `block` (1-based)."""
        return self.states[block - 1]

    def qkv(self, tower: Tower, block: int) -> Heads:
        """Queries, keys and values of block `block` (1-based) on its own input; computed at most once a pass."""
        if block not in self.heads:
            self.heads[block] = tower.qkv(block - 1, self.before(block), self.grid)
        return self.heads[block]


@dataclass(frozen=True)
class FrontEnd:
    """A way to turn the trace into patch embeddings.

    Attributes:
        name: as users write it.
        patches: `(tower, trace) -> N x M x d`, not normalised, in row-major order of the grid. Nothing of one
            image may reach another.
        needs: depth to the block numbers whose outputs `patches` reads (0 is the embedding).
        needs_heads: depth to the block numbers whose `Trace.qkv` it asks for, the last one aside: the run keeps them,
            as those blocks compute them anyway.
    """

    name: str
    patches: Callable[[Tower, Trace], Tensor]
    needs: Callable[[int], frozenset[int]]
    needs_heads: Callable[[int], frozenset[int]] = lambda depth: frozenset()

    def __call__(self, tower: Tower, trace: Trace) -> Tensor:
        """Patch embeddings `N x M x d`, not normalised."""
        return self.patches(tower, trace)


def only_last_input(depth: int) -> frozenset[int]:
    """What most front-ends need: the input of the last block."""
    return frozenset({depth - 1})


def self_correlation(q: Tensor, k: Tensor, v: Tensor, skip: int = 0) -> Tensor:
    """(softmax(q q's) + softmax(k k's)) v with s = 1 / sqrt(head width): correlative self-attention.

    Wang et al. 2024 (arXiv 2312.01597), section 3.2. The maps are applied one by one and never stored.

    Args:
        q: queries, `N x heads x T x h`; `k` and `v` likewise.
        k: keys.
        v: values.
        skip: rows at the front (the prefix) for which no output is wanted.
    """
    by_queries = F.scaled_dot_product_attention(q[:, :, skip:], q, v)
    return by_queries.add_(F.scaled_dot_product_attention(k[:, :, skip:], k, v))
