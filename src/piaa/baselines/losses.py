"""The losses of table 1's trained systems, as pure functions of logits and labels.

Everywhere: logits N x C; labels N x C of 0 and 1, where 0 can mean "not observed"; the result is one number, the mean
over images and classes unless said. Each meets the golden loss and gradient of its published code (`tests/parity`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-5
"""Added inside the logarithm by the single-positive losses (Cole et al., CVPR 2021)."""
GR_EPSILON = 1e-7
"""The same in GR Loss and AEVLP."""


def _minus_log(p: Tensor, epsilon: float = EPSILON) -> Tensor:
    return -torch.log(p + epsilon)


def bce_ls(logits: Tensor, labels: Tensor, smoothing: float = 0.1) -> Tensor:
    """BCE-LS: cross-entropy on full labels, each held to 1 - `smoothing`."""
    p = torch.sigmoid(logits)
    target = torch.where(labels == 1, 1 - smoothing, smoothing)
    return (target * _minus_log(p) + (1 - target) * _minus_log(1 - p)).mean()


def naive_an(logits: Tensor, labels: Tensor) -> Tensor:
    """NaiveAN: what is not observed counts as absent."""
    return bce_ls(logits, labels, smoothing=0.0)


def expected_positives(p: Tensor, k: float) -> Tensor:
    """((mean labels an image) - k)^2 / C^2 of probabilities N x C, the regulariser of EPR, ROLE and AEVLP."""
    return ((p.sum(dim=1).mean() - k) / p.shape[1]) ** 2


def epr(logits: Tensor, labels: Tensor, k: float) -> Tensor:
    """EPR: observed positives, and `k` labels an image expected."""
    p = torch.sigmoid(logits)
    return (_minus_log(p) * (labels == 1)).mean() + expected_positives(p, k)


def role(logits: Tensor, estimates: Tensor, labels: Tensor, k: float) -> Tensor:
    """ROLE: classifier and label estimates (logits N x C both) teach each other (Cole et al., CVPR 2021)."""
    p, q = torch.sigmoid(logits), torch.sigmoid(estimates)

    def side(own: Tensor, other: Tensor) -> Tensor:
        other = other.detach()
        cross = other * _minus_log(own) + (1 - other) * _minus_log(1 - own)
        return (_minus_log(own) * (labels == 1)).mean() + cross.mean() + expected_positives(own, k)

    return (side(p, q) + side(q, p)) / 2


def asl(logits: Tensor, labels: Tensor, negative: float = 4.0, positive: float = 1.0, shift: float = 0.05) -> Tensor:
    """ASL (Ridnik et al., ICCV 2021): sum over the batch; negatives shifted, focusing weights without gradient."""
    p = torch.sigmoid(logits)
    away = (1 - p + shift).clamp(max=1)
    logs = torch.where(labels == 1, p.clamp(min=1e-8).log(), away.clamp(min=1e-8).log())
    right = torch.where(labels == 1, p, away)
    focus = (1 - right) ** torch.where(labels == 1, positive, negative)
    return -(logs * focus.detach()).sum()


def large_losses(logits: Tensor, labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy N x C, and which of the not observed labels are the `share` of all with the greatest losses."""
    losses = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    free = (losses * (labels == 0)).detach()
    count = math.ceil(labels.numel() * share)
    if count == 0:
        return losses, torch.zeros_like(free, dtype=torch.bool)
    return losses, (free >= free.flatten().topk(count).values[-1]) & (labels == 0)


def ll_r(logits: Tensor, labels: Tensor, share: float) -> Tensor:
    """LL-R (Kim et al., CVPR 2022): the large losses are left out."""
    losses, large = large_losses(logits, labels, share)
    return torch.where(large, torch.zeros_like(losses), losses).mean()


def ll_c(logits: Tensor, labels: Tensor, share: float) -> Tensor:
    """LL-Ct, and LL-Cp's step (there the caller keeps the change of label): the large losses' labels are flipped."""
    losses, large = large_losses(logits, labels, share)
    flipped = F.binary_cross_entropy_with_logits(logits, 1 - labels, reduction="none")
    return torch.where(large, flipped, losses).mean()


def gr_weights(p: Tensor, line: tuple[float, float], bell: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """K = sigmoid(w p + b) and V = exp(-((p - mu) / sigma)^2 / 2) of GR Loss, both without gradient."""
    confidence = torch.sigmoid(line[0] * p + line[1]).detach()
    return confidence, torch.exp(-(((p - bell[0]) / bell[1]) ** 2) / 2).detach()


def _gr_unobserved(p: Tensor, k: Tensor, v: Tensor, q: tuple[float, float]) -> Tensor:
    return v * (k * (1 - p ** q[0]) / q[0] + (1 - k) * (1 - (1 - p) ** q[1]) / q[1])


def gr(
    logits: Tensor,
    labels: Tensor,
    line: tuple[float, float],
    bell: tuple[float, float],
    q: tuple[float, float] = (0.01, 1.0),
) -> Tensor:
    """GR Loss (Chen et al. 2024): `line` is (w, b), `bell` (mu, sigma); both move over the epochs."""
    p = torch.sigmoid(logits)
    k, v = gr_weights(p, line, bell)
    return torch.where(labels == 1, _minus_log(p, GR_EPSILON), _gr_unobserved(p, k, v, q)).mean()


def gpr(
    logits: Tensor,
    labels: Tensor,
    pseudo: Tensor,
    line: tuple[float, float],
    bell: tuple[float, float],
    k: float,
    *,
    held: tuple[float, float] = (0.4, 0.7),
    smoothing: float = 0.1,
    regularisation: float = 0.05,
    q: tuple[float, float] = (0.01, 1.0),
) -> Tensor:
    """AEVLP's loss: GR, with pseudo-labels N x C of 1, 0 (none) and -1 where nothing is observed."""
    p = torch.sigmoid(logits)
    confidence, v = gr_weights(p, line, bell)
    yes, no = _minus_log(p, GR_EPSILON), _minus_log(1 - p, GR_EPSILON)
    taken = (1 - v).clamp(*held) * ((1 - smoothing) * yes + smoothing * no)
    other = torch.where(pseudo == -1, v * no, _gr_unobserved(p, confidence, v, q))
    each = torch.where(labels == 1, yes, torch.where(pseudo == 1, taken, other))
    return each.mean() + regularisation * expected_positives(p, k)


def vlpl(
    logits: Tensor, labels: Tensor, pseudo: Tensor | None = None, entropy: float = 0.2, weight: float = 0.7
) -> Tensor:
    """VLPL: entropy of what is not observed is made great; after the warm-up pseudo-positives count, smoothed by 0.1.

    Args:
        logits: N x C.
        labels: N x C.
        pseudo: N x C, 1 where CLIP sees the class; None in the warm-up.
        entropy: weight of the entropy.
        weight: of the pseudo-positives.
    """
    p = torch.sigmoid(logits)
    yes, no = _minus_log(p), _minus_log(1 - p)
    each = torch.where(labels == 1, yes, -entropy * (p * yes + (1 - p) * no))
    if pseudo is not None:
        each = torch.where((labels != 1) & (pseudo == 1), weight * (0.9 * yes + 0.1 * no), each)
    return each.mean()
