"""Absent and present as two Gaussians on the log-odds of each class, by expectation-maximisation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Mixture(NamedTuple):
    """Two Gaussians a class.

    Attributes:
        low, high: C, means of absent and present.
        spread_low, spread_high: C, standard deviations.
        share: C, of present, 0 to 1.
    """

    low: Array
    high: Array
    spread_low: Array
    spread_high: Array
    share: Array

    @property
    def distance(self) -> Array:
        """Ashman's D: (mean - mean) / sqrt((variance + variance) / 2) (Ashman, Bird and Zepf 1994), C."""
        result: Array = (self.high - self.low) / np.sqrt((self.spread_low**2 + self.spread_high**2) / 2)
        return result

    @property
    def crossing(self) -> Array:
        """Between the means, the first place where present outweighs absent, by bisection: C log-odds."""
        left, right = self.low.copy(), np.maximum(self.high, self.low)
        for _ in range(60):
            middle = (left + right) / 2
            present = self._weight(middle) > 0
            left, right = np.where(present, left, middle), np.where(present, middle, right)
        result: Array = right
        return result

    def present(self, x: Array) -> Array:
        """Posterior probability of presence at log-odds N x C; 0 below the mean of absence."""
        result: Array = np.where(x < self.low, 0.0, 1 / (1 + np.exp(-np.clip(self._weight(x), -50, 50))))
        return result

    def _weight(self, x: Array) -> Array:
        gap = _log_density(x, self.high, self.spread_high) - _log_density(x, self.low, self.spread_low)
        result: Array = gap + np.log(self.share / (1 - self.share))
        return result


def two_gaussians(x: Array, rounds: int = 100) -> Mixture:
    """EM of all classes side by side, on log-odds N x C."""
    low, high = np.quantile(x, 0.4, axis=0), np.quantile(x, 0.97, axis=0)
    spread = x.std(axis=0).clip(min=1e-6)
    floor = 0.05 * spread
    spread_low, spread_high, share = spread / 2, spread / 2, np.full(x.shape[1], 0.1)
    for _ in range(rounds):
        gap = _log_density(x, high, spread_high) - _log_density(x, low, spread_low)
        present = 1 / (1 + np.exp(-np.clip(gap + np.log(share / (1 - share)), -50, 50)))
        absent = 1 - present
        share = present.mean(axis=0).clip(1 / (2 * len(x)), 0.6)
        high = (present * x).sum(axis=0) / present.sum(axis=0).clip(min=1e-9)
        low = (absent * x).sum(axis=0) / absent.sum(axis=0).clip(min=1e-9)
        spread_high = np.sqrt((present * (x - high) ** 2).sum(axis=0) / present.sum(axis=0).clip(min=1e-9))
        spread_low = np.sqrt((absent * (x - low) ** 2).sum(axis=0) / absent.sum(axis=0).clip(min=1e-9))
        spread_high, spread_low = spread_high.clip(min=floor), spread_low.clip(min=floor)
    return Mixture(low, high, spread_low, spread_high, share)


def _log_density(x: Array, mean: Array, spread: Array) -> Array:
    result: Array = -0.5 * ((x - mean) / spread) ** 2 - np.log(spread)
    return result
