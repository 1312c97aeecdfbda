"""What a few yes/no answers tell of all labels: precision, recall and F1 with intervals, and a better cut.

Pairs of image and class are drawn with known probabilities, more often where the calibrated score is doubtful. Each
answer then stands for as many pairs as its probability says (inverse inclusion probability; Horvitz and Thompson
1952); `piaa.method.intervals` draws how many of these have the class. Labels are counted over all pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piaa.method.intervals import present_draws

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

FLOOR = 0.02  # what a pair of no doubt counts beside sqrt(p (1 - p)) of the others, 0.5 at most
CUTS = np.round(np.arange(0.05, 0.96, 0.05), 2)
LOWER = 0.015
"""Share of the draws below an interval of 95%, and above it: 2.5% of either covered 92 to 96% where this was chosen,
since no regression is quite right."""
UNSURE = 0.03
"""Share of the draws in which another cut may be worse, where the thresholds move."""


@dataclass(frozen=True)
class Estimate:
    """A share 0 to 1, the median of its draws, with its 95% interval; NaN where nothing asked about was given."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibrated:
    """What the answers told.

    Attributes:
        precision, recall, f1: of the labels as they were decided before, over all pairs of image and class.
        cut: the calibrated score from which on labels are given now; 0.5 is as before.
        expected_f1: of the labels at `cut`, by the same answers; optimistic, since they chose it.
        answers: how many.
    """

    precision: Estimate
    recall: Estimate
    f1: Estimate
    cut: float
    expected_f1: float
    answers: int


def choose_pairs(scores: Array, count: int, seed: int = 0) -> tuple[NDArray[np.int64], Array]:
    """Draw pairs to ask about: systematic sampling along the scores, so that every level has its part.

    Args:
        scores: N x C, calibrated, 0 to 1; NaN is never asked about.
        count: how many pairs; all of them, where there are fewer.
        seed: of the draw.

    Returns:
        n x 2 places (image, class), and n weights: how many pairs each stands for.
    """
    places = np.argwhere(np.isfinite(scores))
    p = scores[places[:, 0], places[:, 1]]
    chance = _inclusion(np.sqrt(np.clip(p * (1 - p), 0, None)) + FLOOR, count)
    random = np.random.default_rng(seed)
    order = np.lexsort((random.random(len(p)), p))
    ends = np.cumsum(chance[order]) + random.random()
    drawn = order[np.floor(ends) > np.floor(ends - chance[order])]
    return places[drawn].astype(np.int64), 1 / chance[drawn]


def estimate(scores: Array, answers: Flags, weights: Array, seed: int = 0) -> Calibrated:
    """Precision, recall and F1 at the cut 0.5, and the cut of greatest F1 where the answers are sure of it.

    Args:
        scores: n calibrated scores of the pairs asked about.
        answers: n, whether the class is there.
        weights: n, of `choose_pairs`.
        seed: of the draws.
    """
    given = (scores >= CUTS[:, None]).astype(np.float64)
    present = present_draws(scores, answers, weights, seed)
    labels, total, hits = given @ weights, present.sum(axis=1)[:, None], present @ given.T
    here = int(np.flatnonzero(CUTS == 0.5)[0])
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = hits[:, here] / labels[here], hits[:, here] / total[:, 0]
    f1 = 2 * hits / (labels + total).clip(min=1e-12)
    best = int(f1.mean(axis=0).argmax())
    sure = np.quantile(f1[:, best] - f1[:, here], UNSURE) > 0
    chosen = best if sure else here
    return Calibrated(
        _interval(precision),
        _interval(recall),
        _interval(f1[:, here]),
        float(CUTS[chosen]),
        float(f1[:, chosen].mean()),
        len(scores),
    )


def _interval(draws: Array) -> Estimate:
    told = draws[np.isfinite(draws)]  # a draw in which no pair has its class tells of no recall
    if not len(told):
        return Estimate(float("nan"), float("nan"), float("nan"))
    low, value, high = np.quantile(told.clip(0, 1), (LOWER, 0.5, 1 - LOWER))
    return Estimate(float(value), float(low), float(high))


def _inclusion(size: Array, count: int) -> Array:
    """Probabilities proportional to size, 1 at most, with the sum `count` (or all 1)."""
    if count >= len(size):
        return np.ones(len(size))
    chance: Array = np.zeros(len(size))
    free = np.ones(len(size), dtype=bool)
    while True:
        chance[free] = (count - (~free).sum()) * size[free] / size[free].sum()
        full = free & (chance >= 1)
        if not full.any():
            return chance
        chance[full], free = 1.0, free & ~full
