"""Gaussians of one covariance, a class each, and the classifier that follows: eq. 3, 4, 8, 9, 10; and "anything else".

Symbols: C classes, d embedding width, n patches. An *assignment* is n int64, the class of each patch. Large sums are
taken in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

TRIANGLE = 4  # strips in which a symmetric product is computed: 5/8 of the work of the whole
CHUNK = 1 << 24  # elements of the largest temporary that a chunked function makes


def row_chunks(rows: int, width: int, limit: int = CHUNK) -> Iterator[slice]:
    """Slices over `rows` rows such that rows x `width` elements stay under `limit`, one row at least."""
    step = max(1, limit // max(width, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


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


@dataclass(frozen=True)
class Gaussians:
    """One Gaussian a class, all of one covariance.

    Attributes:
        means: C x d (eq. 3, 8).
        covariance: S, d x d float64 (eq. 9).
        samples: n, patches that S was taken of.
    """

    means: Tensor
    covariance: Tensor
    samples: int

    @property
    def precision(self) -> Tensor:
        """P, d x d (eq. 10)."""
        return shrunk_precision(self.covariance, self.samples)


def gaussians(patches: Tensor, assignment: Tensor, weights: Tensor, prototypes: Tensor) -> Gaussians:
    """Of n patches with their classes and weights; a class without any has its prototype as its mean."""
    means = class_means(patches, assignment, weights, prototypes)
    return Gaussians(means, pooled_covariance(patches, assignment, means), len(patches))


def closed_form(patches: Tensor, assignment: Tensor, weights: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor]:
    """The classifier (eq. 4) of these Gaussians: C x d and C."""
    found = gaussians(patches, assignment, weights, prototypes)
    return linear_classifier(found.means, found.precision)


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


@dataclass(frozen=True)
class Background:
    """What "anything else" is like: all unlabelled patches.

    Attributes:
        mean: d, of all patches.
        covariance: d x d, of all patches.
        amount: how many classes' worth it counts in the prior, above 0.
        spread: how much of its covariance is that of all patches, 0 to 1; the rest is the classes' own. 0: eq. 4 for
            it too.
    """

    mean: Tensor
    covariance: Tensor
    amount: float
    spread: float = 0.0


@dataclass(frozen=True)
class Discriminants:
    """y_c = w_c.x + b_c for C classes; with a background one more: y = x'Ax + w.x + b.

    Attributes:
        weight: C x d or (C + 1) x d.
        bias: as many.
        curvature: A, d x d; None: 0.
    """

    weight: Tensor
    bias: Tensor
    curvature: Tensor | None = None


def with_wide_background(found: Gaussians, background: Background) -> Discriminants:
    """`with_background` where "anything else" has a covariance of its own, greater than that of the classes.

    Things that have no word differ more from each other than the patches of one word do. So a patch that is far from
    all means, but a little nearer to one of them, is anything else, and no longer that word: the relative Mahalanobis
    distance (Ren et al. 2021, arXiv 2106.09022). With S_b = (1 - spread) S + spread S_all, and P_b of it by eq. 10 with
    the trace of S, and m the mean of all patches:

        y = x'Px / 2 - (x - m)' P_b (x - m) / 2 + d / (2 (n - 1)) log(|P_b| / |P|) + log(amount / (C + 1))

    x'Px / 2 is what eq. 4 leaves out of all classes. The logarithm is in the unit of eq. 10, which is d / (n - 1) times
    that of the covariance.
    """
    precision, dim, n = found.precision, len(found.covariance), found.samples
    weight, bias = with_background(found.means, precision, background.mean, background.amount)
    trace = found.covariance.trace()
    if background.spread == 0 or n < 2 or float(trace) <= 0:
        return Discriminants(weight, bias)
    wide = (1 - background.spread) * found.covariance + background.spread * background.covariance.to(trace.dtype)
    identity = torch.eye(dim, dtype=trace.dtype, device=trace.device)
    own = dim * torch.cholesky_inverse(torch.linalg.cholesky((n - 1) * wide + trace * identity))
    mean = background.mean.to(trace.dtype)
    scatter = 0.5 * dim / (n - 1) * (torch.logdet(own) - torch.logdet(precision))
    weight[-1] = (own @ mean).to(weight.dtype)
    prior = math.log(background.amount) - math.log(len(weight))
    bias[-1] = float(scatter - 0.5 * mean @ own @ mean) + prior
    return Discriminants(weight, bias, (0.5 * (precision - own)).to(weight.dtype))
