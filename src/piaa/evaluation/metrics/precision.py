"""Average precision of each class and their mean, by the rule that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from piaa.evaluation.metrics.ranking import rankings
from piaa.evaluation.metrics.registry import Resampled, register
from piaa.evaluation.metrics.rules import rule_named


def average_precision(scores: Tensor, labels: Tensor, rule: str = "torchmetrics") -> Tensor:
    """AP of each class.

    Args:
        scores: N x C. By the rule `torchmetrics` they pass through a sigmoid if any is outside 0..1, as there; this can
            make equal what differed. The other rules look at the order alone.
        labels: N x C of 1, 0 and -1 (does not count for this class).
        rule: a name in `AP_RULES`: `torchmetrics` (the published evaluation), `voc2007`, `voc2010`.

    Returns:
        C, float32, 0..1; NaN for a class without positives.

    Raises:
        InputError: an unknown rule, shapes that differ, a score that is NaN.
    """
    value = rule_named(rule)
    each = [
        value(*ranking.counts())[0] if len(ranking.positives) else torch.tensor(torch.nan)
        for ranking in rankings(_prepared(scores, rule), labels)
    ]
    return torch.stack([ap.float().to(scores.device) for ap in each]) if each else torch.zeros(0)


def mean_average_precision(scores: Tensor, labels: Tensor, rule: str = "torchmetrics") -> float:
    """mAP over the classes that have positives; NaN when none has."""
    return float(average_precision(scores, labels, rule).double().nanmean())


def mean_average_precision_voc2007(scores: Tensor, labels: Tensor) -> float:
    """mAP by VOC's rule of 2007 to 2009, 11 points."""
    return mean_average_precision(scores, labels, "voc2007")


def mean_average_precision_voc2010(scores: Tensor, labels: Tensor) -> float:
    """mAP by VOC's rule since 2010, the area under the monotone precision."""
    return mean_average_precision(scores, labels, "voc2010")


def classes_without_positives(labels: Tensor, names: Sequence[str]) -> list[str]:
    """The names of the classes that no image has: their AP is NaN and no mean counts them."""
    present = (labels > 0).any(dim=0).tolist()
    return [name for name, there in zip(names, present, strict=True) if not there]


def resampled_average_precision(scores: Tensor, labels: Tensor, rule: str = "torchmetrics") -> Resampled:
    """A function from N x B weights (how often each image is drawn) to C x B APs, NaN where no positive is drawn."""
    value = rule_named(rule)
    each = rankings(_prepared(scores, rule), labels)

    def resampled(weights: Tensor) -> Tensor:
        none = weights.new_full(weights.shape[1:], torch.nan)
        return torch.stack([value(*r.resampled(weights)) if len(r.positives) else none for r in each])

    return resampled


def _prepared(scores: Tensor, rule: str) -> Tensor:
    """What torchmetrics does to scores that cannot be probabilities."""
    outside = rule == "torchmetrics" and bool(((scores < 0) | (scores > 1)).any())
    return scores.sigmoid() if outside else scores


def _resampled_mean(rule: str) -> Callable[[Tensor, Tensor], Resampled]:
    def prepare(scores: Tensor, labels: Tensor) -> Resampled:
        each = resampled_average_precision(scores, labels, rule)
        return lambda weights: each(weights).nanmean(dim=0)

    return prepare


AP_METRICS: dict[str, str] = {"torchmetrics": "mAP", "voc2007": "mAP-voc2007", "voc2010": "mAP-voc2010"}
"""AP rule to the metric of `METRICS` that is its mean."""

register("mAP", mean_average_precision, _resampled_mean("torchmetrics"))
register("mAP-voc2007", mean_average_precision_voc2007, _resampled_mean("voc2007"))
register("mAP-voc2010", mean_average_precision_voc2010, _resampled_mean("voc2010"))
