"""Intervals of precision, recall and F1 that few answers bear, also where every answer was the same.

The bootstrap of `piaa.method.calibration` gives an interval of no width where all answers agree: twenty right labels
would prove that all are right. Here the share of yes among the labels given, and among those not given, each has a Beta
distribution (Gelman et al., Bayesian Data Analysis, section 2.4): so many answers as the weights are worth (Kish 1965:
(sum w)^2 / sum w^2), and a prior of `PRIOR` answers whose share is the mean calibrated score.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piaa.method.calibration import Calibrated, Estimate

Array = NDArray[np.float64]

PRIOR = 2.0
DRAWS = 4000


def widened(found: Calibrated, scores: Array, answers: NDArray[np.bool_], weights: Array) -> list[Estimate]:
    """Precision, recall and F1 with intervals of 95% at least: the bootstrap's and the posterior's together.

    Args:
        found: what `piaa.method.calibration.estimate` says of the same answers.
        scores: n calibrated scores of the pairs that were asked about, 0..1; 0.5 is the threshold.
        answers: n, whether the class is there.
        weights: n, how many pairs each stands for.
    """
    rng = np.random.default_rng(0)
    given = scores >= 0.5
    hits, labels = _total(scores, answers, weights, given, rng), float(weights[given].sum())
    present = hits + _total(scores, answers, weights, ~given, rng)
    shares = (hits / labels if labels else hits, hits / np.maximum(present, 1e-12), 2 * hits / (labels + present))
    known = (found.precision, found.recall, found.f1)
    return [_together(one, share) for one, share in zip(known, shares, strict=True)]


def _total(
    scores: Array, answers: NDArray[np.bool_], weights: Array, part: NDArray[np.bool_], rng: np.random.Generator
) -> Array:
    """Draws of how many pairs of a part have the class; 0 where none of the part was asked about."""
    w = weights[part]
    if not len(w):
        return np.zeros(DRAWS)
    worth = float(w.sum() ** 2 / (w**2).sum())
    share = float((w * answers[part]).sum() / w.sum())
    prior = float(np.clip((w * scores[part]).sum() / w.sum(), 1e-3, 1 - 1e-3))
    yes, no = worth * share + PRIOR * prior, worth * (1 - share) + PRIOR * (1 - prior)
    draws: Array = rng.beta(yes, no, DRAWS) * w.sum()
    return draws


def _together(found: Estimate, draws: Array) -> Estimate:
    if not np.isfinite(found.value):
        return found
    low, high = np.clip(np.quantile(draws, (0.025, 0.975)), 0, 1)
    values = min(1.0, found.value), min(found.low, float(low)), max(found.high, float(high))  # above 1 by rounding
    return Estimate(values[0], min(values[:2]), min(1.0, max(values[0], values[2])))
