"""Some twenty yes/no questions, and what their answers say about precision, recall and thresholds.

A question is one image and one class. The questions are a stratified random sample: strata by calibrated score, so that
the few pairs that matter are asked about and the many clear ones hardly. Every stratum counts with its whole size.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EDGES = (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0 + 1e-9)
SHARES = (1, 2, 3, 4, 4, 3, 3)
"""Of the questions, how many to ask in each stratum; what a stratum cannot give goes to the others."""
PRIOR = 1.0
"""A stratum's mean score counts like so many answers, so that few answers do not pretend to certainty."""
DRAWS = 4000
CANDIDATES = np.linspace(0.05, 0.95, 91)


@dataclass(frozen=True)
class Question:
    """Does the image have the class?"""

    image: int
    class_index: int


@dataclass(frozen=True)
class Estimate:
    """What the answers say.

    Attributes:
        answered: questions with a yes or a no.
        precision, recall: the mean and the 95 % interval (2.5 % and 97.5 %), 0..1.
        threshold: the calibrated score from which on labels should be given for the best expected F1.
    """

    answered: int
    precision: tuple[float, float, float]
    recall: tuple[float, float, float]
    threshold: float


@dataclass
class Inquiry:
    """Questions about some classes, and the answers so far.

    Attributes:
        scores: N x C calibrated scores of the classes that are asked about.
        classes: C, their numbers among all classes.
        questions: in the order in which to ask.
        answers: number of a question to yes or no; what was skipped is not there.
        seed: of the sample.
    """

    scores: Array
    classes: list[int]
    questions: list[Question] = field(default_factory=list)
    answers: dict[int, bool] = field(default_factory=dict)
    seed: int = 0

    def pick(self, count: int = 20) -> None:
        """Draw the questions anew."""
        rng = np.random.default_rng(self.seed)
        flat = self.scores.ravel()
        stratum = self._strata()
        order = [rng.permutation(np.flatnonzero(stratum == number)) for number in range(len(SHARES))]
        wanted = _allocate([len(pairs) for pairs in order], count)
        chosen = np.concatenate([pairs[:number] for pairs, number in zip(order, wanted, strict=True)]).astype(int)
        chosen = chosen[np.argsort(np.abs(flat[chosen] - 0.5), kind="stable")]
        width = self.scores.shape[1]
        self.questions = [Question(int(pair // width), self.classes[int(pair % width)]) for pair in chosen]
        self.answers = {}

    def estimate(self, thresholds: Array) -> Estimate:
        """Precision and recall of labels given at `thresholds` (C calibrated scores), and a better one for all.

        In each stratum, cut where the decision changes, the share of yes has a Beta distribution from its answers and
        its prior; the shares are drawn and added up with the strata's sizes.
        """
        flat = self.scores.ravel()
        given = (self.scores >= thresholds).ravel()
        cell = self._strata() * 2 + given
        column = {c: number for number, c in enumerate(self.classes)}
        width = self.scores.shape[1]
        places = [self.questions[number] for number in self.answers]
        pairs = np.array([each.image * width + column[each.class_index] for each in places], dtype=int)
        said = np.array(list(self.answers.values()), dtype=float)
        rng = np.random.default_rng(self.seed)
        true_given, true_all, size_given = np.zeros(DRAWS), np.zeros(DRAWS), 0.0
        for number in np.unique(cell):
            members = cell == number
            asked = said[cell[pairs] == number]
            mean = float(np.clip(flat[members].mean(), 1e-4, 1 - 1e-4))
            yes, no = asked.sum() + PRIOR * mean, (1 - asked).sum() + PRIOR * (1 - mean)
            right = rng.beta(yes, no, DRAWS) * members.sum()
            true_all += right
            if number % 2:
                true_given += right
                size_given += float(members.sum())
        precision = true_given / size_given if size_given else np.full(DRAWS, np.nan)
        recall = true_given / np.maximum(true_all, 1e-12)
        return Estimate(len(said), _interval(precision), _interval(recall), self._better(flat, pairs, said))

    def _strata(self) -> NDArray[np.int64]:
        return np.digitize(self.scores.ravel(), EDGES[1:-1]).astype(np.int64)

    def _better(self, flat: Array, pairs: NDArray[np.int64], said: Array) -> float:
        """The threshold with the best expected F1 under P(yes) = logistic(a + b log-odds(score)).

        a and b are fitted to the answers by Newton's steps, with a normal prior around 0 and 1: without answers the
        scores are taken as they are (Platt 1999, with the scores themselves in the place of no data).
        """
        x = _log_odds(flat[pairs])
        at = np.array([0.0, 1.0])
        for _ in range(30):
            p = 1 / (1 + np.exp(-(at[0] + at[1] * x)))
            features = np.stack([np.ones_like(x), x])
            slope = features @ (p - said) + (at - [0, 1])
            bend = (features * (p * (1 - p))) @ features.T + np.eye(2)
            at = at - np.linalg.solve(bend, slope)
        at[1] = max(at[1], 0.05)  # more score never means less
        chance = 1 / (1 + np.exp(-(at[0] + at[1] * _log_odds(flat))))
        f1 = [2 * chance[flat >= t].sum() / max(1e-12, (flat >= t).sum() + chance.sum()) for t in CANDIDATES]
        return float(CANDIDATES[int(np.argmax(f1))])


def _allocate(sizes: list[int], count: int) -> list[int]:
    """How many to ask in each stratum: by `SHARES`, none more than it holds, `count` in all if there are so many."""
    wanted = [0] * len(sizes)
    while sum(wanted) < min(count, sum(sizes)):
        open_strata = [n for n, size in enumerate(sizes) if wanted[n] < size]
        poorest = min(open_strata, key=lambda n: (wanted[n] + 1) / SHARES[n])
        wanted[poorest] += 1
    return wanted


def _interval(draws: Array) -> tuple[float, float, float]:
    if not np.isfinite(draws).all():
        return (float("nan"),) * 3
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(draws.mean()), float(low), float(high)


def _log_odds(scores: Array) -> Array:
    clipped = np.clip(scores, 1e-4, 1 - 1e-4)
    result: Array = np.log(clipped / (1 - clipped))
    return result
