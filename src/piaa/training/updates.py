"""How labels change while a network learns: pure functions of probabilities and labels, each with its source.

Everywhere: N x C; probabilities 0..1; observed labels 1 present, 0 absent, -1 not seen.
"""

from __future__ import annotations

import math

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


def tile_aggregate(whole: Tensor, tiles: Tensor, threshold: float) -> Tensor:
    """CDUL, AEVLP: a class's tiles count by their maximum where it exceeds `threshold`, else by their minimum.

    Args:
        whole: N x C, of the whole image.
        tiles: N x T x C.
        threshold: 0..1.

    Returns:
        N x C: the mean of `whole` and of that.
    """
    most, least = tiles.amax(dim=1), tiles.amin(dim=1)
    return (whole + torch.where(most > threshold, most, least)) / 2


def top_pseudo(scores: Tensor, threshold: float, most: int, plain: Tensor, negatives: float) -> Tensor:
    """AEVLP's pseudo-labels: 1, 0 (none) or -1 (absent).

    Args:
        scores: N x C aggregated scores: the `most` highest of an image that reach `threshold` are 1.
        threshold: 0..1.
        most: at most so many an image.
        plain: N x C: the mean of whole image and tiles; the share `negatives` of classes with the least is -1.
        negatives: 0..1.
    """
    values, places = scores.topk(min(most, scores.shape[1]), dim=1)
    pseudo = torch.zeros_like(scores).scatter(1, places, (values >= threshold).to(scores.dtype))
    count = int(negatives * scores.shape[1])
    least = plain.topk(count, dim=1, largest=False).indices if count else plain.new_zeros((len(plain), 0)).long()
    return pseudo.scatter(1, least, -1.0)


def debiased(scores: Tensor, entropy_limit: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    """CCD: CLIP's softmax labels divided by each class's mean confidence where it comes first.

    Args:
        scores: N x C, each row a softmax.
        entropy_limit: nats; images above it are flagged and do not count for the mean.

    Returns:
        Labels N x C held to 0..1; the bias C (1 for a class that comes first nowhere; the published code divides by
        nothing there); sure N bool.
    """
    sure = -(scores * torch.log(scores + 1e-10)).sum(dim=1) <= entropy_limit
    first = F.one_hot(scores.argmax(dim=1), scores.shape[1]) * sure[:, None]
    counts = first.sum(dim=0)
    bias = torch.where(counts > 0, (scores * first).sum(dim=0) / counts.clamp(min=1), 1.0)
    return (scores / bias).clamp(0, 1), bias, sure


def moving_average(labels: Tensor, seen: Tensor, bias: Tensor, keep: float = 0.8) -> Tensor:
    """CCD: keep labels + (1 - keep) seen / bias, held to 0..1; `seen` N x C is what CLIP says of the crops."""
    return (keep * labels + (1 - keep) * seen / bias).clamp(0, 1)
