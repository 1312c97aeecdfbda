"""F1 of decided labels, and the ways to decide labels from scores that the field reports F1 of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from piaa.errors import InputError
from piaa.evaluation.metrics.registry import Resampled, register


@dataclass(frozen=True)
class F1:
    """Precision, recall and F1, mean over classes (CP, CR, CF1) and overall (OP, OR, OF1), 0 to 1."""

    cp: float
    cr: float
    cf1: float
    op: float
    or_: float
    of1: float


def f1(decided: Tensor, labels: Tensor) -> F1:
    """F1 of decided labels, as Wang et al. (CNN-RNN, 2016) and Chen et al. (ML-GCN, 2019) define the six numbers.

    Args:
        decided: N x C, bool or 0 and 1.
        labels: N x C of 1, 0 and -1 (does not count).

    Returns:
        CP and CR are means over the classes that have positives; a class that is never chosen has precision 0. CF1 is
        the harmonic mean of CP and CR, not the mean of the classes' F1.

    Raises:
        InputError: shapes that differ.
    """
    return F1(*(float(value) for value in _six(*_counts(decided, labels))))


def cf1(decided: Tensor, labels: Tensor) -> float:
    """CF1 alone."""
    return f1(decided, labels).cf1


def of1(decided: Tensor, labels: Tensor) -> float:
    """OF1 alone."""
    return f1(decided, labels).of1


def top_k_decisions(scores: Tensor, k: int = 3, among: Tensor | None = None) -> Tensor:
    """The k best classes of each image, N x C bool; of equal scores the earlier class.

    Args:
        scores: N x C.
        k: exactly so many an image (Wang et al.); all C where there are fewer classes.
        among: N x C bool, decided labels: then at most k, those of the best k that are decided (Chen et al.).
    """
    if k < 1:
        raise InputError(f"the best {k} classes of an image: k must be at least 1")
    best = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
    chosen = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, best, True)
    return chosen if among is None else chosen & among.bool()


def cf1_top3(scores: Tensor, labels: Tensor) -> float:
    """CF1 where the three best classes of each image are its labels."""
    return f1(top_k_decisions(scores, 3), labels).cf1


def of1_top3(scores: Tensor, labels: Tensor) -> float:
    """OF1 where the three best classes of each image are its labels."""
    return f1(top_k_decisions(scores, 3), labels).of1


def oracle_thresholds(scores: Tensor, labels: Tensor) -> Tensor:
    """For each class the threshold with the best F1 on these very labels, C: an upper mark, never a method."""
    ordered, order = scores.sort(dim=0, descending=True)
    positive = labels > 0
    hits = positive.gather(0, order).double().cumsum(dim=0)
    ranks = (labels >= 0).gather(0, order).double().cumsum(dim=0)
    value = 2 * hits / (ranks + positive.sum(dim=0).double()).clamp(min=1)
    return ordered.gather(0, value.argmax(dim=0, keepdim=True))[0]


def relative_decisions(scores: Tensor, share: float = 0.5) -> Tensor:
    """The usual relative rule: above `share` of the way from the image's least to its greatest score. N x C bool."""
    low, high = scores.amin(dim=1, keepdim=True), scores.amax(dim=1, keepdim=True)
    return scores >= low + share * (high - low)


def _counts(decided: Tensor, labels: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Right, chosen and present labels of each class, C x 1; C x B for weights N x B."""
    if decided.ndim != 2 or decided.shape != labels.shape:
        shapes = f"{tuple(decided.shape)} and {tuple(labels.shape)}"
        raise InputError(f"decided labels and labels must both be images x classes, got {shapes}")
    chosen, present = decided.bool() & (labels >= 0), labels > 0
    if weights is None:
        right = (chosen & present).sum(dim=0).double()
        return right[:, None], chosen.sum(dim=0).double()[:, None], present.sum(dim=0).double()[:, None]
    right, chosen, present = ((each.T.to(weights.dtype) @ weights) for each in (chosen & present, chosen, present))
    return right, chosen, present


def _six(right: Tensor, chosen: Tensor, present: Tensor) -> tuple[Tensor, ...]:
    """CP, CR, CF1, OP, OR, OF1 from counts C x B, each B."""
    counted = present > 0
    cp = (right / chosen.clamp(min=1)).where(counted, torch.nan).nanmean(dim=0)
    cr = (right / present.clamp(min=1)).where(counted, torch.nan).nanmean(dim=0)
    op = right.sum(dim=0) / chosen.sum(dim=0).clamp(min=1)
    or_ = right.sum(dim=0) / present.sum(dim=0).clamp(min=1)
    return cp, cr, _harmonic(cp, cr), op, or_, _harmonic(op, or_)


def _harmonic(a: Tensor, b: Tensor) -> Tensor:
    return (2 * a * b / (a + b)).where(a + b != 0, 0)


def _resampled(decided: Tensor, labels: Tensor, which: int) -> Resampled:
    return lambda weights: _six(*_counts(decided, labels, weights))[which]


register("CF1", cf1, lambda decided, labels: _resampled(decided, labels, 2))
register("OF1", of1, lambda decided, labels: _resampled(decided, labels, 5))
register("CF1@3", cf1_top3, lambda scores, labels: _resampled(top_k_decisions(scores, 3), labels, 2))
register("OF1@3", of1_top3, lambda scores, labels: _resampled(top_k_decisions(scores, 3), labels, 5))
