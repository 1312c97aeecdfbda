"""Numbers: mean average precision as the published evaluation takes it, F1 of decided labels, AP by object size.

Scores are N x C tensors, labels N x C of 0 and 1. All results are fractions, 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SIZE_BINS: dict[str, tuple[float, float]] = {"small": (0.0, 0.22), "medium": (0.22, 0.40), "large": (0.40, 2.0)}
"""Relative size of an object: its longer side over the image's."""


def average_precision(scores: Tensor, labels: Tensor) -> Tensor:
    """AP of each class, C; NaN for a class without positives. torchmetrics' MultilabelAveragePrecision."""
    from torchmetrics.functional.classification import multilabel_average_precision

    number = labels.shape[1]
    if number == 1:  # torchmetrics wants at least two labels
        twice = multilabel_average_precision(scores.repeat(1, 2), labels.long().repeat(1, 2), 2, average="none")
        each = twice[:1]
    else:
        each = multilabel_average_precision(scores, labels.long(), number, average="none")
    return torch.where(labels.bool().any(dim=0), each, torch.nan)


def mean_average_precision(scores: Tensor, labels: Tensor) -> float:
    """mAP over the classes that have positives; NaN when none has."""
    return float(average_precision(scores, labels).nanmean())


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
    """F1 of decided labels N x C bool; CF1 is the harmonic mean of CP and CR, as the field reports it.

    Classes without positives are left out of the class means.
    """
    decided, labels = decided.bool(), labels.bool()
    hits = (decided & labels).sum(dim=0).double()
    chosen, present = decided.sum(dim=0).double(), labels.sum(dim=0).double()
    counted = present > 0
    cp = float((hits / chosen.clamp(min=1))[counted].mean())
    cr = float((hits / present.clamp(min=1))[counted].mean())
    op = float(hits.sum() / chosen.sum().clamp(min=1))
    or_ = float(hits.sum() / present.sum().clamp(min=1))
    return F1(cp, cr, _harmonic(cp, cr), op, or_, _harmonic(op, or_))


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b > 0 else 0.0


def oracle_thresholds(scores: Tensor, labels: Tensor) -> Tensor:
    """For each class the threshold with the best F1 on these very labels, C: an upper mark, never a method."""
    ordered, order = scores.sort(dim=0, descending=True)
    hits = labels.gather(0, order).double().cumsum(dim=0)
    ranks = torch.arange(1, len(scores) + 1, dtype=torch.float64)[:, None]
    value = 2 * hits / (ranks + labels.sum(dim=0).double())
    return ordered.gather(0, value.argmax(dim=0, keepdim=True))[0]


def relative_decisions(scores: Tensor, share: float = 0.5) -> Tensor:
    """The usual relative rule: above `share` of the way from the image's least to its greatest score. N x C bool."""
    low, high = scores.amin(dim=1, keepdim=True), scores.amax(dim=1, keepdim=True)
    return scores >= low + share * (high - low)


def average_precision_by_size(scores: Tensor, labels: Tensor, sizes: Tensor) -> dict[str, float]:
    """mAP with positives of one size alone, as in the paper's table 6.

    Args:
        scores: N x C.
        labels: N x C.
        sizes: N x C, relative size of the largest instance of the class in the image; NaN where unknown or absent.

    Returns:
        `small`, `medium`, `large` to mAP; an image that has the class in another size is left out for that class.
    """
    result = {}
    for name, (low, high) in SIZE_BINS.items():
        each = []
        for c in range(labels.shape[1]):
            positive = labels[:, c].bool()
            in_bin = positive & (sizes[:, c] >= low) & (sizes[:, c] < high)
            if in_bin.any():
                rows = in_bin | ~positive
                each.append(mean_average_precision(scores[rows, c : c + 1], in_bin[rows].long()[:, None]))
        result[name] = float(torch.tensor(each).mean()) if each else float("nan")
    return result
