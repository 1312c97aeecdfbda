"""What a few yes/no answers tell of all labels: precision, recall and F1 with intervals, and a better cut.

Pairs of image and class are drawn with known probabilities, more often where the calibrated score is doubtful. Each
answer then stands for as many pairs as its probability says (inverse inclusion probability; Horvitz and Thompson
1952), and intervals come from resampling the answers (bootstrap; Efron 1979). Labels are counted over all pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

FLOOR = 0.02  # what a pair of no doubt counts beside sqrt(p (1 - p)) of the others, 0.5 at most
CUTS = np.round(np.arange(0.05, 0.96, 0.05), 2)
REPLICATES = 1000
SURE = 0.95
"""Share of the bootstrap replicates in which another cut must be better before the thresholds are moved."""


@dataclass(frozen=True)
class Estimate:
    """A share 0 to 1 with its 95% interval; NaN where the answers hold nothing that it could be told from."""

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
        seed: of the bootstrap.
    """
    n = len(scores)
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=REPLICATES)
    weighted = times * weights
    given = (scores[None] >= CUTS[:, None]).astype(np.float64)
    true = answers.astype(np.float64)
    here = int(np.flatnonzero(CUTS == 0.5)[0])

    def of(rows: Array) -> tuple[Array, Array, Array]:
        """Precision, recall, F1 at every cut: rows x cuts."""
        hits, labels, present = rows @ (given * true).T, rows @ given.T, (rows @ true)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            return hits / labels, hits / present, 2 * hits / (labels + present)

    now, often = of(weights[None].astype(np.float64)), of(weighted.astype(np.float64))
    f1, f1_often = np.nan_to_num(now[2][0]), np.nan_to_num(often[2])
    best = int(f1.argmax())
    better = float((f1_often[:, best] > f1_often[:, here]).mean())
    chosen = best if better >= SURE else here
    parts = [_interval(float(v[0, here]), o[:, here]) for v, o in zip(now, often, strict=True)]
    return Calibrated(parts[0], parts[1], parts[2], float(CUTS[chosen]), float(f1[chosen]), n)


def _interval(value: float, replicates: Array) -> Estimate:
    finite = replicates[np.isfinite(replicates)]
    if not len(finite) or not np.isfinite(value):
        return Estimate(float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(finite, (0.025, 0.975))
    return Estimate(value, float(low), float(high))


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
