"""Patch-based visual classifier learning (PVCL): section 3.3 and algorithm 1 of the paper, one function an equation.

Symbols: C classes, d embedding width, n patches, K bank size; t_c the unit-length text prototype of class c. A
*assignment* is n int64, the class of each patch. Every function is pure; large sums are taken in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from piaa.method.gaussian import (
    Background,
    Discriminants,
    closed_form,
    gaussians,
    linear_classifier,
    row_chunks,
    with_wide_background,
)

LOG_FLOOR = 1e-10  # probabilities are clamped here inside the logarithm of eq. 5


def text_probabilities(embeddings: Tensor, prototypes: Tensor, scale: float) -> Tensor:
    """p(c|x) = softmax_c(scale * x.t_c), section 3.3.

    Args:
        embeddings: ... x d, unit length; patches x or [CLS] embeddings z.
        prototypes: C x d, unit length.
        scale: the softmax scale s_text (60 in the published code), above 0.

    Returns:
        ... x C, each row a distribution.
    """
    return torch.softmax(scale * (embeddings @ prototypes.T), dim=-1)


def entropy(probabilities: Tensor) -> Tensor:
    """H(x) = -sum_c p log p, eq. 5; probabilities ... x C to nats ..., float32, 0 to log C."""
    out = torch.empty(probabilities.shape[:-1], device=probabilities.device)
    flat, result = probabilities.flatten(0, -2), out.view(-1)
    for rows in row_chunks(*flat.shape):
        p = flat[rows].float()
        # summed in float64, so that the shape of the batch does not decide the last bit
        result[rows] = -(p * p.clamp(min=LOG_FLOOR).log_()).sum(dim=-1, dtype=torch.float64).float()
    return out.clamp_(min=0)


def discriminants(patches: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """y_c = w_c.x + b_c: patches ... x d to ... x C."""
    return patches.to(weight.dtype) @ weight.T + bias


@dataclass(frozen=True)
class Claims:
    """What the temporary classifier says of n patches.

    Attributes:
        assignment: n int64, its arg-max class; can differ from the class of the harvest.
        certainty: n, how sure it is, by the purifier's measure.
    """

    assignment: Tensor
    certainty: Tensor


@dataclass(frozen=True)
class Purified:
    """What stage II keeps of n bank patches.

    Attributes:
        assignment: n int64, see `Claims`.
        weights: n, confidence of each patch in stage III, above 0.
        keep: n bool.
    """

    assignment: Tensor
    weights: Tensor
    keep: Tensor


@dataclass(frozen=True)
class Purifier:
    """Stage II in two steps, so that the n x C discriminants of a large bank never exist at once.

    Attributes:
        claim: (logits n x C, scale) to `Claims`, each row by itself.
        keep: (claims of all patches, number of classes) to what is kept.
    """

    claim: Callable[[Tensor, float], Claims]
    keep: Callable[[Claims, int], Purified]

    def __call__(self, logits: Tensor, scale: float) -> Purified:
        """Both steps on logits n x C that are at hand."""
        return self.keep(self.claim(logits, scale), logits.shape[1])


def _claim_by_probability(logits: Tensor, scale: float) -> Claims:
    q, assignment = torch.softmax(scale * logits, dim=1).max(dim=1)
    return Claims(assignment, q)


def _keep_above_threshold(claims: Claims, classes: int) -> Purified:
    assignment, q = claims.assignment, claims.certainty
    wide = q.double()
    count = torch.bincount(assignment, minlength=classes)
    mean = wide.new_zeros(classes).index_add_(0, assignment, wide) / count
    square = wide.new_zeros(classes).index_add_(0, assignment, (wide - mean[assignment]) ** 2)
    threshold = (mean + (square / (count - 1)).sqrt()).to(q.dtype)
    return Purified(assignment, q, q >= threshold[assignment])  # NaN (one patch) keeps nothing


def _claim_by_margin(logits: Tensor, scale: float) -> Claims:
    best, index = logits.topk(min(2, logits.shape[1]), dim=1)
    return Claims(index[:, 0], best[:, 0] - best[:, -1])


def _keep_best(claims: Claims, classes: int, share: float) -> Purified:
    assignment, margin = claims.assignment, claims.certainty
    order = margin.argsort(descending=True, stable=True)
    order = order[assignment[order].argsort(stable=True)]
    count = torch.bincount(assignment, minlength=classes)
    rank = torch.arange(len(order), device=margin.device) - (count.cumsum(0) - count)[assignment[order]]
    keep = torch.zeros(len(order), dtype=torch.bool, device=margin.device)
    keep[order] = rank < torch.ceil(share * count.double())[assignment[order]]
    return Purified(assignment, torch.ones_like(margin), keep)


def margin_purifier(share: float = 0.5) -> Purifier:
    """Keep of each class the share (0 to 1) with the greater margin between the two best discriminant scores.

    Stands in for eq. 7. Any rescaling keeps the same patches; a class with n of them keeps ceil(share n), so that none
    empties; the scale has no part in it.
    """
    return Purifier(_claim_by_margin, partial(_keep_best, share=share))


purify_by_threshold = Purifier(_claim_by_probability, _keep_above_threshold)
"""Keep q(c|x) >= mean(q) + std(q) of the class, eq. 7, as published; q is softmax(scale * logits).

The std has divisor n - 1, so a class with one patch keeps none; at a large scale q saturates, the threshold passes 1,
and the class keeps none either.
"""

purify_by_margin = margin_purifier()
"""The better half of each class: the default."""

PURIFIERS: dict[str, Purifier] = {"margin": purify_by_margin, "threshold": purify_by_threshold}


@dataclass(frozen=True)
class PVCLResult:
    """The learnt classifier and how it came about.

    Attributes:
        weight: C x d, `bias`: C, the final classifier (eq. 4 of stage III); with a background one row more.
        temporary_weight: C x d, `temporary_bias`: C, the classifier of stage I.
        sizes_stage1: C int64, patches of each class after stage I; `sizes_stage2` after stage II.
        kept: m int64, rows of the bank's contents that stage II kept; `kept_classes`: m, the class of each.
        fallbacks: class index to the reason for which it keeps its text prototype as its mean.
        curvature: d x d, see `Discriminants`; None: no class curves.
    """

    weight: Tensor
    bias: Tensor
    temporary_weight: Tensor
    temporary_bias: Tensor
    sizes_stage1: Tensor
    sizes_stage2: Tensor
    kept: Tensor
    kept_classes: Tensor
    fallbacks: dict[int, str]
    curvature: Tensor | None = None


def learn_classifier(
    patches: Tensor,
    classes: Tensor,
    confidence: Tensor,
    prototypes: Tensor,
    purifier: Purifier = purify_by_margin,
    purify_scale: float = 1.0,
    background: Background | None = None,
) -> PVCLResult:
    """Algorithm 1 from the filled banks on: temporary classifier, purification, final classifier.

    Args:
        patches: n x d, unit length, all banks of stage I together (`Bank.rows`), in any floating type; beside them
            no more than a copy of those that stage II keeps is made, and pieces of `CHUNK` elements.
        classes: n int64, the class that each was harvested for.
        confidence: n, the text probability of that class.
        prototypes: C x d, unit length.
        purifier: stage II.
        purify_scale: s_gda, handed to the purifier.
        background: "anything else"; None: no such class.
    """
    number = len(prototypes)
    weight, bias = closed_form(patches, classes, confidence, prototypes)
    chunks = [
        purifier.claim(discriminants(patches[rows], weight, bias), purify_scale)
        for rows in row_chunks(len(patches), number)
    ]
    pure = purifier.keep(_joined(chunks, patches.device), number)
    kept = pure.keep.nonzero().squeeze(1)
    found = gaussians(patches[kept], pure.assignment[kept], pure.weights[kept], prototypes)
    if background:
        final = with_wide_background(found, background)
    else:
        final = Discriminants(*linear_classifier(found.means, found.precision))
    sizes1 = torch.bincount(classes, minlength=number)
    sizes2 = torch.bincount(pure.assignment[kept], minlength=number)
    claimed = torch.bincount(pure.assignment, minlength=number)
    reasons = {c: _why_empty(int(sizes1[c]), int(claimed[c])) for c in (sizes2 == 0).nonzero()[:, 0].tolist()}
    return PVCLResult(
        final.weight, final.bias, weight, bias, sizes1, sizes2, kept, pure.assignment[kept], reasons, final.curvature
    )


def _joined(chunks: list[Claims], device: torch.device) -> Claims:
    if not chunks:
        return Claims(torch.zeros(0, dtype=torch.int64, device=device), torch.zeros(0, device=device))
    return Claims(torch.cat([c.assignment for c in chunks]), torch.cat([c.certainty for c in chunks]))


def _why_empty(harvested: int, claimed: int) -> str:
    if harvested == 0 and claimed == 0:
        return "no patch of the unlabelled images was most like its name"
    if claimed == 0:
        return f"all {harvested} patches found for it looked more like other classes once these were learnt"
    return f"none of its {claimed} patches passed the purification"
