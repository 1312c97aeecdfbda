"""CLIP: every patch token of the plain last block through the final norm and the projection."""

from __future__ import annotations

from torch import Tensor

from piaa.vision.front_ends.base import FrontEnd, Trace, only_last_input
from piaa.vision.towers.base import Tower


def clip_patches(tower: Tower, trace: Trace) -> Tensor:
    """Patch embeddings `N x M x d` of the unchanged tower (PIAA section 4.3, table 3, row CLIP)."""
    heads = trace.qkv(tower, tower.depth)
    patches = slice(tower.prefix_tokens, None)
    return tower.project(tower.finish_block(tower.depth - 1, trace.before(tower.depth), heads, patches))


CLIP = FrontEnd("clip", clip_patches, only_last_input)
