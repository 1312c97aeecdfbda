"""Prediction adaptive aggregation (PAA): section 3.4 of the paper, eq. 11 to 13, one function an equation.

Pure tensor functions; the scales come from `piaa.method.recipes`. Everything is per image, so no result depends on a
batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.method.aggregators import Aggregator, max_over_patches
from piaa.method.recipes import Scales

CHUNK = 1 << 24  # elements of the largest N x M x C temporary


def patch_probabilities(
    patches: Tensor, weight: Tensor, bias: Tensor, scale: float, curvature: Tensor | None = None
) -> Tensor:
    """p = softmax_c(scale * (W x + b)), eq. 11.

    Args:
        patches: ... x d, unit length.
        weight: C x d.
        bias: C.
        scale: s_inf.
        curvature: d x d, a quadratic term x'Ax of the last row; None for none (`piaa.method.gaussian.Discriminants`).

    Returns:
        ... x C, each row a distribution.
    """
    logits = patches @ weight.T + bias
    if curvature is not None:
        logits[..., -1] += (patches @ curvature * patches).sum(dim=-1)
    return torch.softmax(scale * logits, dim=-1)


def patch_scores(pooled: Tensor, scale: float) -> Tensor:
    """S_patch = softmax_c(s_patch * max_m p), eq. 12, of pooled probabilities N x C."""
    return torch.softmax(scale * pooled, dim=-1)


def cls_scores(cls: Tensor, prototypes: Tensor, scale: float) -> Tensor:
    """S_cls = softmax_c(s_cls * z.t_c): [CLS] embeddings N x d and prototypes C x d, both unit length, to N x C."""
    return torch.softmax(scale * (cls @ prototypes.T), dim=-1)


def fuse(patch: Tensor, cls: Tensor, alpha: float) -> Tensor:
    """S = alpha S_patch + (1 - alpha) S_cls, eq. 13: N x C each, alpha 0 to 1."""
    return alpha * patch + (1 - alpha) * cls


def log_odds(pooled: Tensor, scale: float) -> Tensor:
    """scale * log(p / (1 - p)) of pooled probabilities N x C: instead of eq. 12, no class competing with another."""
    wide = pooled.double()
    return (scale * torch.logit(wide, eps=1e-9)).to(pooled.dtype)


def centred(logits: Tensor, scale: float) -> Tensor:
    """scale * (z.t_c less its mean over the image's classes), N x C: instead of the softmax of [CLS] in eq. 13."""
    return scale * (logits - logits.mean(dim=-1, keepdim=True))


class Fusion(NamedTuple):
    """How eq. 13 joins patches and [CLS].

    Attributes:
        patch: pooled probabilities N x C and a scale, to the first term.
        cls: cosines z.t N x C and a scale, to the second.
        link: their weighted sum, to scores 0 to 1.
    """

    patch: Callable[[Tensor, float], Tensor]
    cls: Callable[[Tensor, float], Tensor]
    link: Callable[[Tensor], Tensor]


def _softmax_of(logits: Tensor, scale: float) -> Tensor:
    return torch.softmax(scale * logits, dim=-1)


FUSIONS: dict[str, Fusion] = {
    "softmax": Fusion(patch_scores, _softmax_of, lambda scores: scores),
    "odds": Fusion(log_odds, centred, torch.sigmoid),
}
"""`softmax` is eq. 12 and 13 as published; `odds` adds log-odds, so that no object of an image lowers another."""


def fused(pooled: Tensor, cls: Tensor, prototypes: Tensor, scales: Scales, alpha: float) -> Tensor:
    """Eq. 13 by the fusion of the scales: pooled probabilities N x C and raw [CLS] embeddings N x d to N x C."""
    fusion = FUSIONS[scales.fusion]
    cosines = F.normalize(cls.to(prototypes.dtype), dim=-1) @ prototypes.T
    return fusion.link(fuse(fusion.patch(pooled, scales.patch), fusion.cls(cosines, scales.cls), alpha))


def pooled_probabilities(
    patches: Tensor,
    weight: Tensor,
    bias: Tensor,
    scale: float,
    aggregate: Aggregator = max_over_patches,
    classes: int | None = None,
    curvature: Tensor | None = None,
) -> Tensor:
    """Eq. 11 and the maximum of eq. 12 for N x M x d raw patches, chunk by chunk over images: N x C.

    Patches are brought to unit length. No N x M x C tensor is made; one image's M x C is the least. Of the rows of
    `weight` those from `classes` (C) on stand for anything else: they take their part of eq. 11 and are left out.
    `curvature` is that of `patch_probabilities`.
    """
    images, tokens, _ = patches.shape
    classes = len(weight) if classes is None else classes
    step = max(1, CHUNK // max(tokens * len(weight), 1))
    pooled = patches.new_empty(images, classes, dtype=weight.dtype)
    for start in range(0, images, step):
        unit = F.normalize(patches[start : start + step].to(weight.dtype), dim=-1)
        pooled[start : start + step] = aggregate(
            patch_probabilities(unit, weight, bias, scale, curvature)[..., :classes]
        )
    return pooled
