"""How many pairs of image and class have the class, by a few answers: draws from a posterior of finite populations.

Whether a class is there is a logistic regression on the log-odds of the calibrated score, with knots and a step at the
threshold, so that scores may promise too much in one range and too little in another. The pairs that an answer stands
for and that nobody was asked about are then drawn by it (Chen, Elliott and Little 2010, Survey Methodology 36:
Bayesian penalized spline inference for proportions of a finite population in unequal probability sampling). What was
answered is known and adds no spread, so intervals shrink to a point where all pairs were asked about.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

KNOTS = (-3.0, 0.0, 2.0)
"""Log-odds at which the slope may change."""
FARTHEST = 5.0
"""Log-odds beyond which scores say no more."""
PRIOR_MEAN = np.array([0.0, 0.5, 0.5, 0.0, 0.0, 0.0])
"""Of the constant, the slope, its three changes, and the step at 0.5: scores are right but for the lowest, among which
what was missed lies at any score."""
PRIOR_SPREAD = np.array([2.0, 0.5, 0.5, 0.5, 0.5, 1.0])
DRAWS = 1000
FREEDOM = 5
"""Degrees of freedom of the t distribution that proposes draws: its tails are longer than the posterior's."""


def present_draws(scores: Array, answers: Flags, weights: Array, seed: int = 0, draws: int = DRAWS) -> Array:
    """Draws of how many of the pairs that each answer stands for have the class.

    Args:
        scores: n calibrated scores of the pairs that were asked about, 0..1; 0.5 is the threshold.
        answers: n, whether the class is there.
        weights: n, how many pairs each stands for, 1 at least; it counts among them itself.
        seed: of the draws.
        draws: how many, D.

    Returns:
        D x n, each from 0 to the weight, rounded up.
    """
    random = np.random.default_rng(seed)
    terms = _terms(scores)
    chance = _chance(_coefficients(terms, answers.astype(np.float64), draws, random) @ terms.T)
    others = np.floor(np.maximum(weights - 1, 0) + random.random(chance.shape)).astype(np.int64)
    return np.add(answers, random.binomial(others, chance), dtype=np.float64)


def _terms(scores: Array) -> Array:
    """n x 6: what the regression is linear in."""
    p = np.clip(scores, 1e-12, 1 - 1e-12)
    odds = np.clip(np.log(p) - np.log1p(-p), -FARTHEST, FARTHEST)
    bends = [np.maximum(odds - knot, 0) for knot in KNOTS]
    result: Array = np.stack([np.ones_like(odds), odds, *bends, (scores >= 0.5).astype(np.float64)], axis=1)
    return result


def _coefficients(terms: Array, answers: Array, draws: int, random: np.random.Generator) -> Array:
    """Draws x 6 by importance resampling around the mode (Gelman et al., Bayesian Data Analysis, section 10.4)."""
    mode, spread = _mode(terms, answers)
    width = len(mode)
    steps = random.normal(size=(2 * draws, width)) / np.sqrt(random.chisquare(FREEDOM, (2 * draws, 1)) / FREEDOM)
    proposed = mode + steps @ np.linalg.cholesky(spread).T
    proposal = -(FREEDOM + width) / 2 * np.log1p((steps**2).sum(axis=1) / FREEDOM)
    ratio = _log_posterior(proposed, terms, answers) - proposal
    share = np.exp(ratio - ratio.max())
    ends = np.cumsum(share / share.sum())
    chosen = np.searchsorted(ends, (np.arange(draws) + random.random()) / draws).clip(0, len(ends) - 1)
    result: Array = proposed[chosen]
    return result


def _mode(terms: Array, answers: Array, steps: int = 50) -> tuple[Array, Array]:
    """The mode of the posterior and the inverse of its curvature, by Newton's method with halved steps."""
    at: Array = PRIOR_MEAN.copy()
    precision = np.diag(PRIOR_SPREAD**-2.0)
    value = float(_log_posterior(at, terms, answers))
    for _ in range(steps):
        chance = _chance(terms @ at)
        slope = terms.T @ (answers - chance) - precision @ (at - PRIOR_MEAN)
        step = np.linalg.solve((terms.T * (chance * (1 - chance))) @ terms + precision, slope)
        new = float(_log_posterior(at + step, terms, answers))
        while new < value and np.abs(step).max() > 1e-9:
            step = step / 2
            new = float(_log_posterior(at + step, terms, answers))
        at = np.add(at, step, dtype=np.float64)
        gained, value = new - value, new
        if gained < 1e-8:
            break
    chance = _chance(terms @ at)
    spread = np.linalg.inv((terms.T * (chance * (1 - chance))) @ terms + precision)
    return at, np.asarray(spread, dtype=np.float64)


def _log_posterior(at: Array, terms: Array, answers: Array) -> Array:
    """Of coefficients ... x 6, up to a constant."""
    odds = at @ terms.T
    prior = (((at - PRIOR_MEAN) / PRIOR_SPREAD) ** 2).sum(axis=-1) / 2
    result: Array = (odds * answers - np.logaddexp(0, odds)).sum(axis=-1) - prior
    return result


def _chance(odds: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    return result
