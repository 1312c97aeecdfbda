"""SC-CLIP (Bai et al. 2025, arXiv 2411.15869): self-calibrated attention without training.

Every step is done for each image by itself, in one go over the batch. The published code takes the outliers
of a batch's first image and the mean similarity of the whole batch for all its images; ours are those of a
batch of one.

What rounding leaves: a similarity within 1e-7 of the threshold 0.4 may fall on either side of it where the
library multiplies a batch of another size in another order. Of 240 random images it happened to one, and one
of its patches moved by 1e-4.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.front_ends.base import FrontEnd, Trace, scaled_block
from piaa.front_ends.outliers import outlier_mask, outlier_scores, repair
from piaa.towers.base import Tower

MID_BLOCK = 9
"""Its features tell which patches belong together before the last block."""
EARLY_BLOCK = 4
"""Its features smooth what comes out of the last block."""
LEVEL_BLOCKS = (4, 10)
"""First and last block of the multi-level sum."""
SIMILARITY_THRESHOLD = 0.4
SHARPNESS = 3.0
CLS_RESIDUAL = 0.3


def levels(depth: int) -> range:
    """The blocks of the multi-level sum: every one from the scaled block 4 to the scaled block 10."""
    return range(scaled_block(LEVEL_BLOCKS[0], depth), scaled_block(LEVEL_BLOCKS[1], depth) + 1)


def similarity(features: Tensor) -> Tensor:
    """Cosine similarities `N x M x M` (float32) of the patches of each image, from `N x M x D`."""
    features = F.normalize(features.float(), dim=-1)
    return features @ features.mT


def aggregate(similarities: Tensor, tokens: Tensor) -> Tensor:
    """Each token becomes the mean of the tokens like it, weighted by similarity where that is at least 0.4.

    Args:
        similarities: `N x M x M`.
        tokens: `N x M x D`.
    """
    weights = similarities.where(similarities >= SIMILARITY_THRESHOLD, 0.0)
    weights = weights / (weights.sum(dim=-1, keepdim=True) + 1e-6)
    return weights.to(tokens.dtype) @ tokens


def similarity_attention(similarities: Tensor) -> Tensor:
    """softmax(3 (B - mean B)) over the entries that are not below the image's mean; `N x M x M`."""
    centred = SHARPNESS * (similarities - similarities.mean(dim=(1, 2), keepdim=True))
    return centred.masked_fill(centred < 0, -torch.inf).softmax(dim=-1)


def calibrated_attention(tower: Tower, attention: Tensor, trace: Trace, patches: Tensor) -> Tensor:
    """What the rewritten last block gathers from patches alone: `N x heads x M x (D / heads)`.

    The mean of the similarity map (one for all heads) and softmax(k k's).
    """
    k, v = tower.keys_values(tower.depth - 1, patches, trace.grid)
    by_similarity = tower.split_heads(attention.to(v.dtype) @ tower.join_heads(v))
    return 0.5 * (by_similarity + F.scaled_dot_product_attention(k, k, v))


def calibrated_out(tower: Tower, one: Tensor, other: Tensor) -> Tensor:
    """The sum of both branches after the output projection: `N x M x D`. An affine one is applied once to the mean."""
    last = tower.depth - 1
    if tower.affine_out:
        return 2 * tower.attention_out(last, 0.5 * (one + other))
    return tower.attention_out(last, one) + tower.attention_out(last, other)


def scclip_patches(tower: Tower, trace: Trace) -> Tensor:
    """Patch embeddings `N x M x d` (PIAA section 4.3, table 3, row SC-CLIP)."""
    depth, prefix = tower.depth, tower.prefix_tokens
    last_input = trace.before(depth)
    outliers = outlier_mask(outlier_scores(last_input[:, prefix:]))
    repaired = partial(repair, outliers=outliers, grid=trace.grid)

    mid = similarity(repaired(trace.after(scaled_block(MID_BLOCK, depth))[:, prefix:]))
    early = similarity(trace.after(scaled_block(EARLY_BLOCK, depth))[:, prefix:])
    attention = similarity_attention(mid)

    tokens = aggregate(mid, repaired(last_input[:, prefix:]))
    summed = trace.after(levels(depth)[0]).clone()
    for block in levels(depth)[1:]:
        summed += trace.after(block)
    branches = (calibrated_attention(tower, attention, trace, x) for x in (tokens, summed[:, prefix:]))
    # each branch adds 0.3 of its own [CLS] token (nothing, where the tower has none); no residual, no MLP
    cls = CLS_RESIDUAL * (last_input[:, :prefix] + summed[:, :prefix]).sum(dim=1, keepdim=True)
    return tower.project(aggregate(early, calibrated_out(tower, *branches) + cls))  # linear: once for both branches


def _needs(depth: int) -> frozenset[int]:
    return frozenset({depth - 1, scaled_block(MID_BLOCK, depth), scaled_block(EARLY_BLOCK, depth), *levels(depth)})


SCCLIP = FrontEnd("sc-clip", scclip_patches, _needs)
