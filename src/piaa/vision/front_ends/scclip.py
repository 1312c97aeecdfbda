"""SC-CLIP (Bai et al. 2025, arXiv 2411.15869): self-calibrated attention without training.

Every step is done for each image by itself, in one go over the batch. The published code takes the outliers
of a batch's first image and the mean similarity of the whole batch for all its images; ours are those of a
batch of one.

What rounding leaves: a similarity within 1e-7 of the threshold 0.4 may fall on either side of it where the
library multiplies a batch of another size in another order. Of 240 random images it happened to one, and one
of its patches moved by 1e-4.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.vision.front_ends.base import FrontEnd, Trace, scaled_block
from piaa.vision.front_ends.outliers import outlier_mask, outlier_scores, repair_matrix
from piaa.vision.towers.base import Tower

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


def similarity(features: Tensor, repairs: Tensor | None = None) -> Tensor:
    """Cosine similarities `N x M x M` (float32) of the patches of each image.

    Args:
        features: `N x M x D`.
        repairs: `N x M x M`, of `repair_matrix`: what to multiply the features with beforehand. It is multiplied with
            their products instead, which are smaller.
    """
    features = features.float()
    products = features @ features.mT
    if repairs is not None:
        products = repairs.float() @ products @ repairs.float().mT
    lengths = products.diagonal(dim1=1, dim2=2).clamp_min(1e-24).sqrt()
    return products / lengths[:, :, None] / lengths[:, None, :]


def aggregation(similarities: Tensor) -> Tensor:
    """The weights that turn each token into the mean of the tokens like it: those of at least 0.4 in similarity.

    Args:
        similarities: `N x M x M`.

    Returns:
        `N x M x M`, the rows of which add up to 1.
    """
    weights = similarities.where(similarities >= SIMILARITY_THRESHOLD, 0.0)
    return weights / (weights.sum(dim=-1, keepdim=True) + 1e-6)


def similarity_attention(similarities: Tensor) -> Tensor:
    """softmax(3 (B - mean B)) over the entries that are not below the image's mean; `N x M x M`."""
    mean = similarities.mean(dim=2, keepdim=True).mean(dim=1, keepdim=True)  # in one step, threads would share a sum
    centred = SHARPNESS * (similarities - mean)
    return centred.masked_fill(centred < 0, -torch.inf).softmax(dim=-1)


def calibrated_attention(tower: Tower, attention: Tensor, trace: Trace, patches: Tensor) -> Tensor:
    """What the rewritten last block gathers from patches alone, twice over: `N x heads x M x (D / heads)`.

    The sum of the similarity map (one for all heads) and softmax(k k's), each times v; the paper has their mean.
    """
    k, v = tower.keys_values(tower.depth - 1, patches, trace.grid)
    by_similarity = tower.split_heads(attention.to(v.dtype) @ tower.join_heads(v))
    return F.scaled_dot_product_attention(k, k, v).add_(by_similarity)


def calibrated_out(tower: Tower, one: Tensor, other: Tensor) -> Tensor:
    """Both branches of `calibrated_attention`, halved, after the output projection, and their sum: `N x M x D`.

    An affine projection is applied once, to the mean of both.
    """
    last = tower.depth - 1
    if tower.affine_out:
        return tower.attention_out(last, one.add_(other).mul_(0.25)).mul_(2)
    return tower.attention_out(last, one.mul_(0.5)) + tower.attention_out(last, other.mul_(0.5))


def scclip_patches(tower: Tower, trace: Trace) -> Tensor:
    """Patch embeddings `N x M x d` (PIAA section 4.3, table 3, row SC-CLIP)."""
    depth, prefix = tower.depth, tower.prefix_tokens
    last_input = trace.before(depth)
    outliers = outlier_mask(outlier_scores(last_input[:, prefix:]))
    repairs = repair_matrix(outliers, trace.grid)

    mid = similarity(trace.after(scaled_block(MID_BLOCK, depth))[:, prefix:], repairs)
    early = similarity(trace.after(scaled_block(EARLY_BLOCK, depth))[:, prefix:])
    attention = similarity_attention(mid)

    tokens = (aggregation(mid) @ repairs).to(last_input.dtype) @ last_input[:, prefix:]
    summed = trace.after(levels(depth)[0]).clone()
    for block in levels(depth)[1:]:
        summed += trace.after(block)
    branches = (calibrated_attention(tower, attention, trace, x) for x in (tokens, summed[:, prefix:]))
    # each branch adds 0.3 of its own [CLS] token (nothing, where the tower has none); no residual, no MLP
    cls = CLS_RESIDUAL * (last_input[:, :prefix] + summed[:, :prefix]).sum(dim=1, keepdim=True)
    mixed = calibrated_out(tower, *branches).add_(cls)
    return tower.project(aggregation(early).to(mixed.dtype) @ mixed)  # linear: once for both branches


def _needs(depth: int) -> frozenset[int]:
    return frozenset({depth - 1, scaled_block(MID_BLOCK, depth), scaled_block(EARLY_BLOCK, depth), *levels(depth)})


SCCLIP = FrontEnd("sc-clip", scclip_patches, _needs)
