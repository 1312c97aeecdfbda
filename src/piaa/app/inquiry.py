"""Some twenty yes/no questions about labels, and what their answers say: `piaa.questions` for the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piaa.app.view import View
from piaa.errors import InputError
from piaa.method.calibration import Estimate
from piaa.method.thresholds import Thresholds
from piaa.questions import Question, ask, learn
from piaa.tags import Tags

COUNTS = (20, 50, 100)
"""How many questions may be asked; the first is the usual number."""
ENOUGH = 10
"""Answers before which nothing is estimated."""


@dataclass
class Inquiry:
    """Questions about tagged images, and the answers so far.

    Attributes:
        questions: in random order, so that the first ones are a sample too.
        classes: numbers of the classes that are asked about.
        thresholds: the classifier's, moved to where the page has them.
        answers: number of a question to yes or no; what was skipped is not there.
    """

    questions: list[Question]
    classes: list[int]
    thresholds: Thresholds
    answers: dict[int, bool] = field(default_factory=dict)

    @classmethod
    def about(cls, view: View, learnt: Thresholds, class_index: int | None, count: int, seed: int) -> Inquiry:
        """Draw questions about one class or all.

        Args:
            view: thresholds as the page has them; corrections play no part.
            learnt: thresholds of the classifier that scored the images.
            class_index: None is all.
            count: one of `COUNTS`.
            seed: of the draw.

        Raises:
            InputError: there is no such class, or so many are not asked.
        """
        view.check(class_index=class_index or 0)
        if count not in COUNTS:
            raise InputError(f"{count} questions: choose one of {', '.join(map(str, COUNTS))}")
        classes = list(range(len(view.result.classes))) if class_index is None else [class_index]
        moved = learnt.override({c: float(value) for c, value in enumerate(view.thresholds) if value != 0.5})
        scores = np.full(view.result.scores.shape, np.nan)
        scores[:, classes] = at_half(view.result.scores, view.thresholds)[:, classes]
        decided = view.result.scores >= view.thresholds
        tags = Tags(view.result.paths, view.result.classes, scores, decided, {}, view.result.foreign)
        questions = ask(tags, moved, count, seed)
        order = np.random.default_rng(seed).permutation(len(questions))
        return cls([questions[number] for number in order], classes, moved)

    def estimate(self) -> dict[str, Any]:
        """What the answers say of the labels that the thresholds give: shares with intervals, and a better cut.

        `moved` is None where the answers are not sure that another threshold is better; else the calibrated score, as
        measured from the thresholds at which was asked.
        """
        if len(self.answers) < min(ENOUGH, len(self.questions)):
            return {"answered": len(self.answers), "wanted": ENOUGH}
        pairs = [(self.questions[number], value) for number, value in self.answers.items()]
        found, _ = learn(pairs, self.thresholds)
        return {
            "answered": len(pairs),
            **{name: _for_page(getattr(found, name)) for name in ("precision", "recall", "f1")},
            "moved": None if found.cut == 0.5 else found.cut,
            "expected_f1": round(found.expected_f1, 4),
        }

    def moved(self, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
        """The page's thresholds (C) after a move to the better cut, where the answers are sure of one.

        Raises:
            InputError: they are not.
        """
        cut = self.estimate().get("moved")
        if cut is None:
            raise InputError("the answers are not sure that other thresholds are better")
        result = thresholds.copy()
        shift = np.log(cut / (1 - cut))
        odds = np.log(thresholds[self.classes] / (1 - thresholds[self.classes])) + shift
        result[self.classes] = np.clip(1 / (1 + np.exp(-odds)), 0.001, 0.999)
        return result


def at_half(scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Calibrated scores N x C measured from other thresholds (C): 0.5 at each, as `Thresholds.override` moves them."""
    with np.errstate(divide="ignore"):
        odds = np.log(scores) - np.log1p(-scores) - np.log(thresholds / (1 - thresholds))
    result: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(odds, -50, 50)))
    return result


def _for_page(share: Estimate) -> list[float] | None:
    values = (share.value, share.low, share.high)
    return [round(value, 4) for value in values] if np.isfinite(values).all() else None
