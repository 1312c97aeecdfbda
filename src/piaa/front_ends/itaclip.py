"""ITACLIP (Aydin et al. 2025, arXiv 2411.12044), its architecture part: averaged attention, no MLP."""

from __future__ import annotations

import torch
from torch import Tensor

from piaa.front_ends.base import FrontEnd, Trace, scaled_block, self_correlation
from piaa.towers.base import Tower

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
    q, k, v = tower.qkv(last, tokens, trace.grid)
    intermediate = []
    for block in intermediate_blocks(tower.depth):
        q_block, k_block, _ = tower.qkv(block - 1, trace.before(block), trace.grid)
        intermediate.append(self_correlation(q_block, k_block, v))
    attended = 0.5 * self_correlation(q, k, v) + 0.5 * torch.stack(intermediate).mean(dim=0)
    return tower.project((tokens + tower.attention_out(last, attended))[:, tower.prefix_tokens :])


def _needs(depth: int) -> frozenset[int]:
    return frozenset({depth - 1, *(block - 1 for block in intermediate_blocks(depth))})


ITACLIP = FrontEnd("itaclip", itaclip_patches, _needs)
