"""ITACLIP (Aydin et al. 2025, arXiv 2411.12044), its architecture part: averaged attention, no MLP."""

from __future__ import annotations

from torch import Tensor

from piaa.vision.front_ends.base import FrontEnd, Trace, scaled_block, self_correlation
from piaa.vision.towers.base import Tower

INTERMEDIATE_BLOCKS = (7, 8, 10)
"""Blocks of a 12-block tower whose self-correlation maps are averaged."""


def intermediate_blocks(depth: int) -> tuple[int, ...]:
    """Those blocks in a tower of another depth; a very shallow tower may name one block more than once."""
    return tuple(scaled_block(number, depth) for number in INTERMEDIATE_BLOCKS)


def itaclip_patches(tower: Tower, trace: Trace) -> Tensor:
    """Patch embeddings `N x M x d`.

    A = 0.5 mean of the intermediate maps + 0.5 the last block's map; tokens + out_proj(A v). A v is linear in
    A, so each map is applied to the last block's values by itself and no map is stored.
    """
    last = tower.depth - 1
    tokens = trace.before(tower.depth)
    prefix = tower.prefix_tokens
    q, k, v = trace.qkv(tower, tower.depth)
    attended = self_correlation(q, k, v, prefix)
    blocks = intermediate_blocks(tower.depth)
    for block in blocks:
        q_block, k_block, _ = trace.qkv(tower, block)
        attended.add_(self_correlation(q_block, k_block, v, prefix), alpha=1 / len(blocks))
    attended.mul_(0.5)
    return tower.project(tower.add_attention(last, tokens[:, prefix:], attended))


def _needs(depth: int) -> frozenset[int]:
    return frozenset({depth - 1, *(block - 1 for block in intermediate_blocks(depth))})


def _needs_heads(depth: int) -> frozenset[int]:
    return frozenset(intermediate_blocks(depth))


ITACLIP = FrontEnd("itaclip", itaclip_patches, _needs, _needs_heads)
