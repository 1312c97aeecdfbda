"""The ablations as a table: each variant against the default, over all the seeds that were run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from piaa.experiments.results import Row

NORMAL = NormalDist()
DEFAULT = "default"
HELPS, HARMS, NEITHER = "helps", "harms", "no difference seen"


@dataclass(frozen=True)
class Estimate:
    """A difference over several seeds.

    Attributes:
        value: the mean.
        low: of the 95% interval.
        high: likewise.
        p_value: two-sided, that the difference is 0.
    """

    value: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Line:
    """A variant on one data set.

    Attributes:
        variant: its name.
        dataset: where.
        value: mAP in percent, the mean over seeds.
        difference: to the default, in points of mAP.
        better: seeds on which it is better than the default.
        seeds: of how many.
        q_value: the p value, corrected for the number of variants tried (Benjamini and Hochberg).
        verdict: `HELPS` where the interval lies above 0 and q is at most 0.05, `HARMS` where below, else `NEITHER`.
    """

    variant: str
    dataset: str
    value: float
    difference: Estimate
    better: int
    seeds: int
    q_value: float

    @property
    def verdict(self) -> str:
        """See above."""
        if self.q_value > 0.05 or self.difference.low <= 0 <= self.difference.high:
            return NEITHER
        return HELPS if self.difference.value > 0 else HARMS


def over_seeds(values: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> Estimate:
    """One difference from those of several seeds, each with its own paired 95% interval over images.

    The model of random effects (DerSimonian and Laird 1986), seeds weighing the same: the squared error of the mean is
    (mean of the intervals' own variances + the variance between seeds beyond that) / seeds. So what a learnt
    classifier owes to its particular unlabelled images counts as error too, as far as the seeds show it. One seed
    shows nothing of it: its interval is its own.

    Args:
        values: of each seed, at least one.
        lows: lower ends.
        highs: upper ends.
    """
    value, wide = np.asarray(values, float), 2 * NORMAL.inv_cdf(0.975)
    within = float(np.mean(((np.asarray(highs) - np.asarray(lows)) / wide) ** 2))
    observed = float(value.var(ddof=1)) if len(value) > 1 else 0.0
    error = math.sqrt(max(within, observed) / len(value))
    mean = float(value.mean())
    if error == 0:
        return Estimate(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    reach = error * wide / 2
    return Estimate(mean, mean - reach, mean + reach, 2 * NORMAL.cdf(-abs(mean) / error))


def ablation_lines(rows: Sequence[Row]) -> list[Line]:
    """One line for each variant and data set, the default first, then by difference."""
    lines = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        own = [row for row in rows if row.dataset == dataset]
        found = [_line(name, dataset, own) for name in dict.fromkeys(row.row for row in own)]
        lines += sorted(
            _corrected([line for line in found if line]),
            key=lambda line: (line.variant != DEFAULT, -line.difference.value),
        )
    return lines


def _line(name: str, dataset: str, rows: Sequence[Row]) -> Line | None:
    """The line of one variant, over the seeds on which it was measured as a whole."""
    seeds: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.row == name:
            seeds.setdefault(row.parameter, {})[row.metric] = row
    whole = [by for by in seeds.values() if {"mAP", "difference"} <= by.keys()]
    if not whole:
        return None
    each = [by["difference"] for by in whole]
    values = [row.value for row in each]
    lows = [row.value if row.low is None else row.low for row in each]
    highs = [row.value if row.high is None else row.high for row in each]
    estimate = over_seeds(values, lows, highs)
    reached = float(np.mean([by["mAP"].value for by in whole]))
    return Line(name, dataset, reached, estimate, sum(v > 0 for v in values), len(values), estimate.p_value)


def _corrected(lines: Sequence[Line]) -> list[Line]:
    from scipy.stats import false_discovery_control

    tried = [line for line in lines if line.variant != DEFAULT]
    q_values = false_discovery_control([line.difference.p_value for line in tried]) if tried else []
    known = {line.variant: float(q) for line, q in zip(tried, q_values, strict=True)}
    return [replace(line, q_value=known.get(line.variant, 1.0)) for line in lines]


def ablation_cells(rows: Sequence[Row]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and lines as text: variant, data set, mAP, difference with its interval, p, q, seeds, verdict."""
    header = ("variant", "data set", "mAP, %", "difference", "95% interval", "p", "q", "seeds better", "verdict")
    return header, tuple(_cells(line) for line in ablation_lines(rows))


def _cells(line: Line) -> tuple[str, ...]:
    name, value = line.variant, f"{line.value:.1f}"
    if line.variant == DEFAULT:
        return (name, line.dataset, value, "", "", "", "", "", "")
    d = line.difference
    interval = f"{d.low:+.2f} to {d.high:+.2f}"
    small = [f"{p:.3f}" if p >= 0.001 else "< 0.001" for p in (d.p_value, line.q_value)]
    seeds = f"{line.better} of {line.seeds}"
    return (name, line.dataset, value, f"{d.value:+.2f}", interval, *small, seeds, line.verdict)
