"""SCLIP (Wang et al. 2024, arXiv 2312.01597): correlative self-attention in the last block."""

from __future__ import annotations

from torch import Tensor

from piaa.vision.front_ends.base import FrontEnd, Trace, only_last_input, self_correlation
from piaa.vision.towers.base import Tower


def sclip_patches(tower: Tower, trace: Trace) -> Tensor:
    """Patch embeddings `N x M x d`: attention replaced, residual and MLP as usual.

    The two maps are added, not averaged, as in the published code.
    """
    last = tower.depth - 1
    tokens = trace.before(tower.depth)
    prefix = tower.prefix_tokens
    attended = self_correlation(*trace.qkv(tower, tower.depth), skip=prefix)
    return tower.project(tower.add_mlp(last, tower.add_attention(last, tokens[:, prefix:], attended)))


SCLIP = FrontEnd("sclip", sclip_patches, only_last_input)
