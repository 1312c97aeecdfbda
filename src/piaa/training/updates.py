"""How labels change while a network learns: pure functions of probabilities and labels, each with its source.

Everywhere: N x C; probabilities 0..1; observed labels 1 present, 0 absent, -1 not seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

MOST = 1e-5
"""Probabilities are held to MOST..1 - MOST before a logit is taken."""


def logit(p: Tensor) -> Tensor:
    """The inverse of the sigmoid, finite everywhere."""
    held = p.clamp(MOST, 1 - MOST)
    return torch.log(held / (1 - held))


def first_estimates(observed: Tensor, random: torch.Generator) -> Tensor:
    """ROLE's label estimates as logits, before any training.

    Those not seen are drawn evenly within +-logit(0.6), so that q is 0.4 to 0.6; present is q = 0.995, absent 0.005.
    """
    width = math.log(0.6 / 0.4)
    unseen = width * (2 * torch.rand(observed.shape, generator=random) - 1)
    sure = math.log(0.995 / 0.005)
    return torch.where(observed == 1, sure, torch.where(observed == 0, -sure, unseen))


def corrected(labels: Tensor, losses: Tensor, share: float) -> Tensor:
    """LL-Cp: labels N x C of 0 and 1 with the largest losses among the zeros turned to 1 for good.

    The ceil(N C share)-th greatest loss is the cut; a loss must exceed it, so the cut itself stays 0 (as published).
    """
    count = math.ceil(labels.numel() * share)
    if count == 0:
        return labels
    free = losses * (labels == 0)
    cut = free.flatten().topk(count).values[-1]
    return torch.where(free > cut, torch.ones_like(labels), labels)


def game_step(latent: Tensor, p: Tensor, rate: float, penalty: float) -> Tensor:
    """G2NetPL: a pseudo-label y = sigmoid(latent) moves towards 0 or 1, and is held near the prediction p.

    One step of gradient descent on y (1 - y) + penalty (y - p)^2 by the latent value. The paper (arXiv 2210.11469)
    has no public code; this cost is ours, with the two terms that it describes.
    """
    y = torch.sigmoid(latent)
    slope = (1 - 2 * y + 2 * penalty * (y - p)) * y * (1 - y)
    return latent - rate * slope


def gaussian(y: Tensor, sigma: float = 1.0) -> Tensor:
    """CDUL eq. 8: the weight of an update, a normal density with mean 0.5: doubtful labels move most."""
    return torch.exp(-(((y - 0.5) / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi))


def aligned(y: Tensor, p: Tensor, sigma: float = 1.0) -> Tensor:
    """CDUL eq. 7: one step of the pseudo-labels y along minus the gradient of KL(y || p), taken on their logits.

    The divergence is that of two coins, so its gradient by y is logit(y) - logit(p).
    """
    latent = logit(y)
    return torch.sigmoid(latent - gaussian(y, sigma) * (latent - logit(p)))


def aligned_softmax(y: Tensor, p: Tensor, sigma: float = 1.0) -> Tensor:
    """The same step as the reproduction of CDUL by others takes it: both rows of a batch count as distributions.

    Args:
        y: B x C pseudo-labels, each row divided by its sum first.
        p: B x C, each row a softmax.
        sigma: of `gaussian`.

    Returns:
        B x C: a step along minus the gradient by y of the mean over the batch of KL(y / sum || p).
    """
    held = y.clamp(1e-30, 1 - 1e-7)
    total = held.sum(dim=1, keepdim=True)
    share = held / total
    odds = torch.log(share) - torch.log(p.clamp(min=1e-30))
    slope = (odds - (share * odds).sum(dim=1, keepdim=True)) / (total * len(y))
    return torch.sigmoid(torch.log(held / (1 - held)) - gaussian(held, sigma) * slope)


def tile_aggregate(whole: Tensor, tiles: Tensor, threshold: float | Tensor, greater: float = 0.0) -> Tensor:
    """CDUL, AEVLP: a class's tiles count by their maximum where it reaches `threshold`, else by their minimum.

    AEVLP asks for more than its threshold, CDUL for as much: scores that are equal to it differ, which softmax scores
    are not.

    Args:
        whole: N x C, of the whole image.
        tiles: N x T x C.
        threshold: 0..1; a number, or N x 1.
        greater: CDUL's lambda: 0 takes the mean of `whole` and tiles, 1 the greater of both.

    Returns:
        N x C.
    """
    most, least = tiles.amax(dim=1), tiles.amin(dim=1)
    local = torch.where(most >= threshold, most, least)
    return (whole + local + greater * (whole - local).abs()) / 2


def held_threshold(whole: Tensor, observed: Tensor, eta: float) -> Tensor:
    """AEVLP: an image's threshold is `eta`, or what CLIP gives its observed class where that is less: N x 1."""
    return (whole * (observed == 1)).amax(dim=1, keepdim=True).clamp(max=eta)


def top_pseudo(
    scores: Tensor, threshold: float, most: int, plain: Tensor, negatives: float, absent: float = -1.0
) -> Tensor:
    """AEVLP's pseudo-labels: 1, 0 (none) or -1 (absent).

    Args:
        scores: N x C aggregated scores: the `most` highest of an image that reach `threshold` are 1.
        threshold: 0..1.
        most: at most so many an image.
        plain: N x C: the mean of whole image and tiles; the share `negatives` of classes with the least are `absent`.
        negatives: 0..1.
        absent: -1 as the loss has it; the published generator writes 0, so that no negative is ever used.
    """
    values, places = scores.topk(min(most, scores.shape[1]), dim=1)
    pseudo = torch.zeros_like(scores).scatter(1, places, (values >= threshold).to(scores.dtype))
    count = int(negatives * scores.shape[1])
    least = plain.topk(count, dim=1, largest=False).indices if count else plain.new_zeros((len(plain), 0)).long()
    return pseudo.scatter(1, least, absent)


def debiased(scores: Tensor, entropy_limit: float = 2.0, floor: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """CCD: CLIP's softmax labels divided by each class's mean confidence where it comes first.

    Args:
        scores: N x C, each row a softmax.
        entropy_limit: nats; images above it are flagged and do not count for the mean.
        floor: labels below it are raised to it before they are divided.

    Returns:
        Labels N x C held to 0..1; the bias C (1 for a class that comes first nowhere; the published code divides by
        nothing there); sure N bool.
    """
    sure = -(scores * torch.log(scores + 1e-10)).sum(dim=1) <= entropy_limit
    first = F.one_hot(scores.argmax(dim=1), scores.shape[1]) * sure[:, None]
    counts = first.sum(dim=0)
    bias = torch.where(counts > 0, (scores * first).sum(dim=0) / counts.clamp(min=1), 1.0)
    return (scores.clamp(min=floor) / bias).clamp(0, 1), bias, sure


def exact_cut(p: Tensor, classes: float) -> float:
    """CCD: the greatest cut for which `classes` classes an image reach it in the mean; p is N x C."""
    return float(p.flatten().topk(max(1, round(classes * len(p)))).values[-1])


def searched_cut(p: Tensor, classes: float, least: float = 0.001, step: float = 0.001, images: int = 100) -> float:
    """CCD's cut as its code searches it: hundreds of images are looked at, one after the other, each with its own cut.

    Args:
        p: N x C, in the order in which the images are looked at.
        classes: the search ends where the classes of the last hundred that reach the cut are more than `classes` - 1
            and less than `classes` + 1 an image.
        least: the first cut.
        step: what it grows by after each hundred.
        images: in a hundred; the very first has one more, as in the published loop.

    Returns:
        The cut; where no hundred fits, the one after the last.
    """
    cut, start = least, 0
    for stop in range(images + 1, len(p) + 1, images):
        reached = int((p[start:stop] >= cut).sum()) / images
        if classes - 1 < reached < classes + 1:
            break
        cut, start = cut + step, stop
    return cut


CUTS: dict[str, Callable[..., float]] = {"exact": exact_cut, "searched": searched_cut}
"""(p N x C in a random order, classes an image) to the cut, by the name in a method's file."""


def moving_average(labels: Tensor, seen: Tensor, bias: Tensor, keep: float = 0.8, floor: float = 0.0) -> Tensor:
    """CCD: keep labels + (1 - keep) seen / bias, held to 0..1; `seen` N x C is what CLIP says of the crops.

    `seen` below `floor` is raised to it, also where no crop was looked at.
    """
    return (keep * labels + (1 - keep) * seen.clamp(min=floor) / bias).clamp(0, 1)
