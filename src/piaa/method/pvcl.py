"""Patch-based visual classifier learning (PVCL): section 3.3 and algorithm 1 of the paper, one function an equation.

Symbols: C classes, d embedding width, n patches, K bank size; t_c the unit-length text prototype of class c. A
*assignment* is n int64, the class of each patch. Every function is pure; large sums are taken in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

LOG_FLOOR = 1e-10  # probabilities are clamped here inside the logarithm of eq. 5
TRIANGLE = 4  # strips in which a symmetric product is computed: 5/8 of the work of the whole
CHUNK = 1 << 24  # elements of the largest temporary that a chunked function makes


def row_chunks(rows: int, width: int, limit: int = CHUNK) -> Iterator[slice]:
    """Slices over `rows` rows such that rows x `width` elements stay under `limit`, one row at least."""
    step = max(1, limit // max(width, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


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


def class_means(patches: Tensor, assignment: Tensor, weights: Tensor, fallback: Tensor) -> Tensor:
    """mu_c = sum w x / sum w over the patches of class c, eq. 3 and 8; a class without any takes the fallback's row.

    Args:
        patches: n x d.
        assignment: n, the class of each patch.
        weights: n, confidences above 0: the text probability in stage I, q in stage III.
        fallback: C x d, what a class without patches gets: its text prototype.
    """
    classes = len(fallback)
    weights = weights.to(torch.float64)
    total = weights.new_zeros(classes).index_add_(0, assignment, weights)
    sums = weights.new_zeros(fallback.shape)
    narrow = weights.to(fallback.dtype)
    for rows in row_chunks(*patches.shape):  # a piece in the fallback's precision, the pieces together in float64
        weighted = patches[rows].to(fallback.dtype) * narrow[rows, None]
        sums += torch.zeros_like(fallback).index_add_(0, assignment[rows], weighted)
    means = sums / total.clamp(min=torch.finfo(torch.float64).tiny)[:, None]
    return torch.where(total[:, None] > 0, means, fallback.to(torch.float64)).to(fallback.dtype)


def pooled_covariance(patches: Tensor, assignment: Tensor, means: Tensor) -> Tensor:
    """S, the covariance of the patches about their class means, eq. 9: d x d float64, divisor n - 1.

    As in the published code the residuals' own mean is taken out too; it is not 0, as the class means are weighted.
    """
    n, dim = patches.shape
    total = torch.zeros(dim, dtype=torch.float64, device=patches.device)
    second = torch.zeros(dim, dim, dtype=torch.float64, device=patches.device)
    for rows in row_chunks(n, dim, CHUNK // 4):
        residual = patches[rows].to(means.dtype) - means[assignment[rows]]
        total += residual.sum(dim=0, dtype=torch.float64)
        for columns in torch.arange(dim, device=patches.device).chunk(TRIANGLE):  # no more than the upper triangle
            first, last = int(columns[0]), int(columns[-1]) + 1
            second[first:last, first:] += residual[:, first:last].T @ residual[:, first:]
    second = second.triu() + second.triu(1).T
    return (second - torch.outer(total, total) / max(n, 1)) / max(n - 1, 1)


def shrunk_precision(covariance: Tensor, samples: int) -> Tensor:
    """P = d [(n - 1) S + tr(S) I]^-1, eq. 10, of the covariance S (d x d) of n samples.

    With tr(S) > 0 the matrix is positive definite and no worse conditioned than n, so that Cholesky's inverse is the
    published pseudo-inverse, at a fifth of its time. Where S is 0 (no patches, or all of them equal) P is the identity
    instead of 0: every direction counts the same, which is the nearest-mean classifier.
    """
    dim = len(covariance)
    trace = covariance.trace()
    identity = torch.eye(dim, dtype=covariance.dtype, device=covariance.device)
    if samples < 2 or float(trace) <= 0:
        return identity
    factor = torch.linalg.cholesky((samples - 1) * covariance + trace * identity)
    return dim * torch.cholesky_inverse(factor)


def linear_classifier(means: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
    """w_c = P mu_c and b_c = -1/2 mu_c' P mu_c + log(1/C), eq. 3 and 4, with the uniform prior of the published code.

    Args:
        means: C x d.
        precision: d x d.

    Returns:
        weight C x d and bias C, of the means' dtype.
    """
    mu = means.to(precision.dtype)
    weight = mu @ precision
    bias = -0.5 * (weight * mu).sum(dim=1) - torch.log(torch.tensor(float(len(mu)), dtype=mu.dtype))
    return weight.to(means.dtype), bias.to(means.dtype)


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


def gaussians(patches: Tensor, assignment: Tensor, weights: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor]:
    """Means C x d (eq. 3, 8) and the precision d x d that they share (eq. 9, 10)."""
    means = class_means(patches, assignment, weights, prototypes)
    return means, shrunk_precision(pooled_covariance(patches, assignment, means), len(patches))


def closed_form(patches: Tensor, assignment: Tensor, weights: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor]:
    """The classifier (eq. 4) of these Gaussians: C x d and C."""
    return linear_classifier(*gaussians(patches, assignment, weights, prototypes))


def with_background(means: Tensor, precision: Tensor, mean: Tensor, amount: float) -> tuple[Tensor, Tensor]:
    """Eq. 4 with one class more, "anything else", whose mean is that of all patches: (C + 1) x d and C + 1.

    Most patches show none of the C classes, and a softmax over these alone makes them share such a patch out.

    Args:
        means: C x d.
        precision: d x d.
        mean: d, of all unlabelled patches.
        amount: how many classes' worth it counts, above 0.
    """
    weight, bias = linear_classifier(torch.cat([means, mean[None].to(means.dtype)]), precision)
    bias[-1] += math.log(amount)
    return weight, bias


def learn_classifier(
    patches: Tensor,
    classes: Tensor,
    confidence: Tensor,
    prototypes: Tensor,
    purifier: Purifier = purify_by_margin,
    purify_scale: float = 1.0,
    background: tuple[Tensor, float] | None = None,
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
        background: mean of all patches (d) and how many classes' worth "anything else" counts; None: no such class.
    """
    number = len(prototypes)
    weight, bias = closed_form(patches, classes, confidence, prototypes)
    chunks = [
        purifier.claim(discriminants(patches[rows], weight, bias), purify_scale)
        for rows in row_chunks(len(patches), number)
    ]
    pure = purifier.keep(_joined(chunks, patches.device), number)
    kept = pure.keep.nonzero().squeeze(1)
    means, precision = gaussians(patches[kept], pure.assignment[kept], pure.weights[kept], prototypes)
    final = with_background(means, precision, *background) if background else linear_classifier(means, precision)
    sizes1 = torch.bincount(classes, minlength=number)
    sizes2 = torch.bincount(pure.assignment[kept], minlength=number)
    claimed = torch.bincount(pure.assignment, minlength=number)
    reasons = {c: _why_empty(int(sizes1[c]), int(claimed[c])) for c in (sizes2 == 0).nonzero()[:, 0].tolist()}
    return PVCLResult(*final, weight, bias, sizes1, sizes2, kept, pure.assignment[kept], reasons)


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
