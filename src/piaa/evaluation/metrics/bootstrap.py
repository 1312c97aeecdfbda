"""Bootstrap over images: how far a number would move on another test set of the same size.

A metric that ranks is higher in a resample than on the images themselves, since copies of a positive stand together
and lift one another's precision. The plain percentile interval then covers far less often than it says
(`docs/metrics.md` has the figures). So the resamples are moved as a whole, to have the measured value as their mean,
before the percentiles are taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from piaa.errors import InputError
from piaa.evaluation.metrics.ranking import check
from piaa.evaluation.metrics.registry import RESAMPLED, Metric, Resampled, metric_named

BLOCK = 2**24
"""Weights held at once: 64 MiB."""


@dataclass(frozen=True)
class Interval:
    """A value and the interval about it.

    Attributes:
        value: on the images themselves.
        low: lower end.
        high: upper end.
        level: how often such an interval should hold the mean over test sets of this size, 0 to 1.
    """

    value: float
    low: float
    high: float
    level: float


def default_resamples(images: int) -> int:
    """1,000; 200 above 20,000 images, where the intervals are narrow and a resample is dear."""
    return 1000 if images <= 20_000 else 200


def bootstrap_interval(
    metric: str | Metric,
    scores: Tensor,
    labels: Tensor,
    *,
    resamples: int | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a metric, from resamples of the images moved to have the measured value as their mean.

    Args:
        metric: a name in `METRICS`, or any function of (scores, labels).
        scores: N x C; decided labels for `CF1` and `OF1`.
        labels: N x C of 1, 0 and -1 (does not count).
        resamples: how many; None: `default_resamples`. A function that is not of the package is called once for each.
        level: 0 to 1.
        seed: the same seed and number of images draw the same resamples.

    Raises:
        InputError: no image, an impossible level or number of resamples, shapes that differ, a NaN.
    """
    function = metric_named(metric)
    value = float(function(scores, labels))
    samples = bootstrap_samples(function, scores, labels, resamples=resamples, seed=seed)
    return interval_of(value, samples, level, fraction=function in RESAMPLED)


def interval_of(value: float, samples: Tensor, level: float = 0.95, *, fraction: bool = True) -> Interval:
    """The interval of a value from B resamples of it, kept within 0..1 for a fraction."""
    bounds = centred_bounds(torch.tensor([value], dtype=torch.float64), samples[None].double(), level)
    low, high = (float(bound) for bound in bounds)
    return Interval(value, max(low, 0.0), min(high, 1.0), level) if fraction else Interval(value, low, high, level)


def bootstrap_samples(
    metric: str | Metric, scores: Tensor, labels: Tensor, *, resamples: int | None = None, seed: int = 0
) -> Tensor:
    """The metric in each resample, B; a seed draws the same images whatever the metric, so that runs can be paired.

    Raises:
        InputError: as `bootstrap_interval`.
    """
    function = metric_named(metric)
    check(scores, labels)
    prepared = RESAMPLED.get(function)
    each = prepared(scores, labels) if prepared else _one_by_one(function, scores, labels)
    return resample(each, len(scores), resamples, seed, scores.device)


def resample(each: Resampled, images: int, resamples: int | None, seed: int, device: torch.device) -> Tensor:
    """What `each` makes of all resamples, ... x B, taken in blocks that fit in memory."""
    count = default_resamples(images) if resamples is None else resamples
    parts = [each(weights.to(device)) for weights in resample_weights(images, count, seed)]
    return torch.cat(parts, dim=-1).cpu()


def resample_weights(images: int, resamples: int, seed: int) -> Iterator[Tensor]:
    """How often each image is drawn: blocks N x b of whole numbers, float32; each column sums to N.

    Raises:
        InputError: no image or no resample.
    """
    if images < 1 or resamples < 2:
        raise InputError(f"a bootstrap needs an image and 2 resamples at least, got {images} and {resamples}")
    generator = torch.Generator().manual_seed(seed)
    block = max(1, BLOCK // images)
    for begin in range(0, resamples, block):
        drawn = torch.randint(images, (min(block, resamples - begin), images), generator=generator)
        counts = torch.zeros(drawn.shape).scatter_add_(1, drawn, torch.ones(()).expand(drawn.shape))
        yield counts.T.contiguous()


def centred_bounds(value: Tensor, samples: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Bounds of each row of samples.

    Args:
        value: K, measured.
        samples: K x B; a NaN (a class of which no positive was drawn) is left out.
        level: 0 to 1.

    Returns:
        Low and high, K; NaN where the value is.

    Raises:
        InputError: a level that is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"the level of an interval is between 0 and 1 (0.95, say), got {level}")
    tail = (1 - level) / 2
    ends = torch.tensor([tail, 1 - tail], dtype=samples.dtype)
    low, high = centred(value, samples).nanquantile(ends, dim=1)
    return low, high


def centred(value: Tensor, samples: Tensor) -> Tensor:
    """Samples K x B moved to have the values K as their means."""
    return samples - samples.nanmean(dim=1, keepdim=True) + value.to(samples)[:, None]


def _one_by_one(metric: Metric, scores: Tensor, labels: Tensor) -> Resampled:
    def each(weights: Tensor) -> Tensor:
        numbers = torch.arange(len(scores), device=scores.device)
        rows = (numbers.repeat_interleave(column.long()) for column in weights.T)
        return torch.tensor([float(metric(scores[row], labels[row])) for row in rows])

    return each
