"""The steps of PVCL and PAA that an ablation does otherwise: pure functions, each beside the equation it replaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.method import gaussian, pvcl
from piaa.method.bank import Bank
from piaa.method.moments import Moments

Affine = tuple[Tensor, Tensor]
"""Weight C x d and bias C of linear logits."""


@dataclass(frozen=True)
class Gaussians:
    """One Gaussian a class, all with the same covariance.

    Attributes:
        means: C x d (eq. 3, 8).
        precision: d x d (eq. 10).
        claimed: C int64, bank patches that each class claimed before purification.
    """

    means: Tensor
    precision: Tensor
    claimed: Tensor


def smooth(patches: Tensor, grid: tuple[int, int], amount: float) -> Tensor:
    """Each unit-length patch x becomes (1 - amount) x + amount * the mean of its up to 8 neighbours.

    Args:
        patches: N x M x d, row-major over the grid, any length.
        grid: (rows, columns).
        amount: 0 to 1.

    Returns:
        N x M x d, not of unit length.
    """
    unit = F.normalize(patches, dim=-1)
    if amount == 0:
        return unit
    image = unit.mT.reshape(*unit.mT.shape[:-1], *grid)
    around = 9 * F.avg_pool2d(image, 3, 1, 1) - image
    count = 9 * F.avg_pool2d(image.new_ones(1, 1, *grid), 3, 1, 1) - 1
    smoothed: Tensor = (1 - amount) * image + amount * around / count.clamp(min=1)
    return smoothed.flatten(-2).mT


def offer_softly(bank: Bank, patches: Tensor, probabilities: Tensor, share: float, provenance: Tensor) -> None:
    """Eq. 6 with soft membership: a patch goes to every class whose probability is `share` of its best or more.

    With share 1 each patch goes to its best class alone, as `Bank.update` has it. The entropy still ranks; the patch's
    weight in a class is its probability of that class.

    Args:
        bank: takes them.
        patches: n x d, unit length.
        probabilities: n x C, each row a distribution.
        share: above 0, at most 1.
        provenance: n x 2 int64, (image, patch).
    """
    if share == 1:
        bank.update(patches, probabilities, provenance)
        return
    entropy = pvcl.entropy(probabilities)
    row, classes = (probabilities >= share * probabilities.amax(dim=1, keepdim=True)).nonzero(as_tuple=True)
    bank.offer(patches[row], classes, entropy[row], probabilities[row, classes], provenance[row])


def standardised(weight: Tensor, bias: Tensor, moments: Moments) -> Affine:
    """Each class's logits w_c.x + b_c less their mean, over their standard deviation, over all vectors of the moments.

    In closed form, as these are w_c.m + b_c and w_c' Cov w_c. A class whose logits are all equal is only centred.

    Args:
        weight: C x d.
        bias: C.
        moments: of at least one vector.
    """
    w, b = weight.double().cpu(), bias.double().cpu()
    mean = moments.total / moments.count
    covariance = moments.second / moments.count - torch.outer(mean, mean)
    spread = torch.einsum("cd,de,ce->c", w, covariance, w).clamp(min=0).sqrt()
    spread = torch.where(spread > 1e-9, spread, 1.0)
    return (w / spread[:, None]).to(weight.dtype), ((b - (w @ mean + b)) / spread).to(bias.dtype)


def responsible_means(patches: Tensor, weight: Tensor, bias: Tensor, scale: float, fallback: Tensor) -> Tensor:
    """Eq. 8 with soft membership: mu_c = sum r_c x / sum r_c over all kept patches, r = softmax_c(scale * y).

    With a great scale r is 1 for the best class and 0 for the others: eq. 8 with equal weights. C x d.
    """
    responsibility = torch.softmax(scale * pvcl.discriminants(patches, weight, bias).double(), dim=1)
    total = responsibility.sum(dim=0)[:, None]
    means = responsibility.T @ patches.double() / total.clamp(min=torch.finfo(torch.float64).tiny)
    return torch.where(total > 0, means, fallback.double()).to(fallback.dtype)


def precision_of(covariance: Tensor, samples: int, shrinkage: float | None) -> Tensor:
    """Eq. 10, or with a share of the identity that does not fall with the number of samples.

    Args:
        covariance: S, d x d.
        samples: n.
        shrinkage: rho of [(1 - rho) S + rho tr(S)/d I]^-1, above 0 to 1; None for eq. 10.
    """
    if shrinkage is None or samples < 2 or float(covariance.trace()) <= 0:
        return gaussian.shrunk_precision(covariance, samples)
    dim = len(covariance)
    identity = torch.eye(dim, dtype=covariance.dtype)
    inverse: Tensor = torch.linalg.inv((1 - shrinkage) * covariance + shrinkage * covariance.trace() / dim * identity)
    return inverse


def total_covariance(moments: Moments) -> Tensor:
    """The covariance of all vectors of the moments, background included, d x d; stands in for eq. 9."""
    return moments.covariance


def learn_in_rounds(
    rows: dict[str, Tensor],
    prototypes: Tensor,
    purify: Callable[[Tensor], pvcl.Purified],
    rounds: int,
    precision: Callable[[Tensor, int], Tensor] = gaussian.shrunk_precision,
    means: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
) -> Gaussians:
    """Stages I to III with several rounds of stage II: each judges the whole bank anew by the classifier of the last.

    With one round this is `piaa.method.pvcl.learn_classifier`.

    Args:
        rows: of the bank.
        prototypes: C x d.
        purify: discriminants n x C to what is kept.
        rounds: at least 1.
        precision: eq. 10, of a covariance and its number of samples.
        means: eq. 8 of the last round, from (kept patches, weight, bias); None: `gaussian.class_means`.
    """
    patches, assignment, weights = rows["patches"], rows["classes"], rows["confidence"]
    claimed = torch.bincount(assignment, minlength=len(prototypes))
    mu = gaussian.class_means(patches, assignment, weights, prototypes)
    p = precision(gaussian.pooled_covariance(patches, assignment, mu), len(patches))
    for number in range(rounds):
        weight, bias = gaussian.linear_classifier(mu, p)
        pure = purify(pvcl.discriminants(patches, weight, bias))
        kept, own = patches[pure.keep], pure.assignment[pure.keep]
        claimed = torch.bincount(pure.assignment, minlength=len(prototypes))
        mu = gaussian.class_means(kept, own, pure.weights[pure.keep], prototypes)
        if means and number == rounds - 1:
            mu = means(kept, weight, bias)
        p = precision(gaussian.pooled_covariance(kept, own, mu), len(kept))
    return Gaussians(mu, p, claimed)


def with_priors(bias: Tensor, claimed: Tensor, amount: float) -> Tensor:
    """Eq. 4 with b_c + amount * log pi_c in the place of the uniform prior; pi is the share of the bank, each count
    raised by 1 so that none is 0.

    Args:
        bias: C.
        claimed: C, bank patches of each class.
        amount: 0 leaves the bias as it is.
    """
    share = (claimed.double() + 1) / (claimed.double() + 1).sum()
    return bias + amount * (share.log() - share.log().mean()).to(bias.dtype)


def with_text(learnt: Affine, prototypes: Tensor, moments: Moments, amount: float) -> Affine:
    """The learnt logits of eq. 11 plus `amount` times the text logits x.t_c, both over their spread.

    A row of "anything else" gets the mean of the prototypes for its text.
    """
    weight, bias = learnt
    texts = torch.cat([prototypes, prototypes.mean(dim=0).expand(len(weight) - len(prototypes), -1)])
    classes = len(prototypes)
    own, theirs = moments.spread(weight[:classes], bias[:classes]) or 1.0, moments.spread(prototypes) or 1.0
    return weight / own + amount * texts.to(weight.dtype) / theirs, bias / own
