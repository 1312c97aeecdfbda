"""CLIP: every patch token of the plain last block through the final norm and the projection."""

from __future__ import annotations

from torch import Tensor

from piaa.front_ends.base import FrontEnd, Trace, only_last_input
from piaa.towers.base import Tower


def clip_patches(tower: Tower, trace: Trace) -> Tensor:
    """Patch embeddings `N x M x d` of the unchanged tower (PIAA section 4.3, table 3, row CLIP)."""
    tokens = tower.block(tower.depth - 1, trace.before(tower.depth), trace.grid)
    return tower.project(tokens[:, tower.prefix_tokens :])


CLIP = FrontEnd("clip", clip_patches, only_last_input)
