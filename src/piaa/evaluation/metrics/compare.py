"""Is one run better than another on the same images, or is it luck: paired bootstrap, sign and rank tests."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from piaa.errors import InputError
from piaa.evaluation.metrics.bootstrap import bootstrap_samples, centred, centred_bounds, resample
from piaa.evaluation.metrics.precision import average_precision, resampled_average_precision
from piaa.evaluation.metrics.registry import Metric, metric_named

MIN_POSITIVES = 5
"""A class with fewer positives gets no verdict: with 2, luck has p <= 0.05 in 16 of 100 cases; from 5 on, in 5 or 6."""


@dataclass(frozen=True)
class Comparison:
    """One run against a baseline on the same images.

    Attributes:
        value: the metric of the run.
        baseline: the metric of the baseline.
        difference: value - baseline.
        low: lower end of the interval of the difference.
        high: upper end.
        level: of that interval, 0 to 1.
        p_value: two-sided; small where the difference is unlikely to be luck. Not below 2 / (resamples + 1).
    """

    value: float
    baseline: float
    difference: float
    low: float
    high: float
    level: float
    p_value: float


@dataclass(frozen=True)
class ClassComparison:
    """The same for the AP of each class, C values each, and for all classes together.

    Attributes:
        value: APs of the run.
        baseline: APs of the baseline.
        difference: value - baseline, NaN for a class without positives.
        positives: images that have the class.
        low: lower ends; NaN, as are `high` and both kinds of p, for a class with fewer than `MIN_POSITIVES`.
        high: upper ends.
        p_values: two-sided, of each class by itself.
        q_values: the same, corrected for the number of classes (Benjamini and Hochberg).
        wins: classes in which the run is better.
        losses: classes in which it is worse.
        sign_p: two-sided sign test over classes: are there more wins than a coin would give?
        wilcoxon_p: two-sided signed-rank test over classes, which weighs the sizes of the differences too.
    """

    value: Tensor
    baseline: Tensor
    difference: Tensor
    positives: Tensor
    low: Tensor
    high: Tensor
    p_values: Tensor
    q_values: Tensor
    wins: int
    losses: int
    sign_p: float
    wilcoxon_p: float


def compare(
    scores: Tensor,
    baseline: Tensor,
    labels: Tensor,
    metric: str | Metric = "mAP",
    *,
    resamples: int | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """The difference of a metric between two runs, with a paired bootstrap: both are resampled with the same images.

    Args:
        scores: N x C, of the run.
        baseline: N x C, of the baseline, the same images and classes in the same order.
        labels: N x C.
        metric: a name in `METRICS`, or any function of (scores, labels).
        resamples: how many, None: `default_resamples`; the least p value is 2 / (resamples + 1).
        level: of the interval, 0 to 1.
        seed: of the resamples.

    Raises:
        InputError: shapes that differ, and as `bootstrap_interval`.
    """
    _check_pair(scores, baseline)
    function = metric_named(metric)
    ours, theirs = (float(function(run, labels)) for run in (scores, baseline))
    first, second = (
        bootstrap_samples(function, run, labels, resamples=resamples, seed=seed) for run in (scores, baseline)
    )
    return comparison_of(ours, theirs, first, second, level)


def comparison_of(value: float, baseline: float, samples: Tensor, others: Tensor, level: float = 0.95) -> Comparison:
    """The comparison of two values from B resamples of each, drawn with the same seed."""
    difference = torch.tensor([value - baseline], dtype=torch.float64)
    low, high, p_values = _verdict(difference, (samples.double() - others.double())[None], level)
    return Comparison(value, baseline, value - baseline, float(low), float(high), level, float(p_values))


def compare_classes(
    scores: Tensor,
    baseline: Tensor,
    labels: Tensor,
    rule: str = "torchmetrics",
    *,
    resamples: int | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> ClassComparison:
    """The difference of each class's AP between two runs, and whether the classes agree; see `compare`.

    Raises:
        InputError: shapes that differ, and as `bootstrap_interval`.
    """
    _check_pair(scores, baseline)
    ours, theirs = (average_precision(run, labels, rule).double() for run in (scores, baseline))
    first, second = (
        resample(resampled_average_precision(run, labels, rule), len(labels), resamples, seed, labels.device).double()
        for run in (scores, baseline)
    )
    difference, positives = (ours - theirs).cpu(), (labels > 0).sum(dim=0).cpu()
    low, high, p_values = (
        each.where(positives >= MIN_POSITIVES, torch.nan) for each in _verdict(difference, first - second, level)
    )
    sign_p, wilcoxon_p = _over_classes(difference)
    wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
    q_values = _adjusted(p_values)
    tests = (wins, losses, sign_p, wilcoxon_p)
    return ClassComparison(ours, theirs, difference, positives, low, high, p_values, q_values, *tests)


def _check_pair(scores: Tensor, baseline: Tensor) -> None:
    if scores.shape != baseline.shape:
        raise InputError(
            "two runs are compared on the same images and classes, "
            f"got {tuple(scores.shape)} and {tuple(baseline.shape)}"
        )


def _verdict(difference: Tensor, samples: Tensor, level: float) -> tuple[Tensor, Tensor, Tensor]:
    """Interval and p value of K differences from K x B paired resamples; p is where the interval would reach zero."""
    low, high = centred_bounds(difference, samples, level)
    moved = centred(difference, samples)
    there = (~moved.isnan()).sum(dim=1)
    tails = torch.stack([(moved <= 0).sum(dim=1), (moved >= 0).sum(dim=1)]).amin(dim=0)
    p_values = (2 * (tails + 1) / (there + 1)).clamp(max=1).double()
    return low, high, p_values.where(~difference.isnan(), torch.nan)


def _over_classes(difference: Tensor) -> tuple[float, float]:
    from scipy.stats import binomtest, wilcoxon

    changed = difference[difference.isfinite() & (difference != 0)]
    if not len(changed):
        return 1.0, 1.0
    sign = binomtest(int((changed > 0).sum()), len(changed)).pvalue
    return float(sign), float(wilcoxon(changed.numpy()).pvalue)


def _adjusted(p_values: Tensor) -> Tensor:
    from scipy.stats import false_discovery_control

    known, result = p_values.isfinite(), p_values.clone()
    if bool(known.any()):
        result[known] = torch.from_numpy(false_discovery_control(p_values[known].numpy()))
    return result
