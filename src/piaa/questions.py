"""Questions to a person about single labels, and the answers: what `Recognizer.ask` and `calibrate` exchange."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from piaa.errors import InputError
from piaa.method.calibration import Calibrated, choose_pairs, estimate
from piaa.method.thresholds import NEVER, Thresholds
from piaa.tags import Tags


@dataclass(frozen=True)
class Question:
    """Does this image show this label? To be answered with yes or no.

    Attributes:
        path: of the image, as in `Tags.paths`.
        label: the class name.
        score: calibrated, 0 to 1; 0.5 and above is a label given now.
        weight: how many pairs of image and label this one stands for.
        thresholds: names the thresholds that the score is measured from; answers to others are refused.
    """

    path: str
    label: str
    score: float
    weight: float
    thresholds: str


def ask(tags: Tags, thresholds: Thresholds, count: int, seed: int) -> list[Question]:
    """Questions about tagged images, `count` of them up to chance of one.

    Raises:
        InputError: when `count` is not positive, or there is no readable image.
    """
    if count < 1:
        raise InputError(f"{count} questions: ask at least one")
    scores = tags.scores.copy()
    scores[list(tags.foreign)] = np.nan  # they have no label whatever their score, so an answer would tell nothing
    places, weights = choose_pairs(scores, count, seed)
    if not len(places):
        raise InputError(
            "no readable image like those of the fit among the tagged ones, so there is nothing to ask about"
        )
    name = _name(thresholds)
    return [
        Question(tags.paths[i], tags.classes[c], float(tags.scores[i, c]), float(weight), name)
        for (i, c), weight in zip(places.tolist(), weights, strict=True)
    ]


def learn(answers: Sequence[tuple[Question, bool]], thresholds: Thresholds) -> tuple[Calibrated, Thresholds]:
    """What the answers tell, and the thresholds of all classes moved to the cut that they are sure of.

    Raises:
        InputError: without answers, or for questions asked before the thresholds were last changed.
    """
    if not answers:
        raise InputError("no answers: put some of the questions of Recognizer.ask to a person first")
    name = _name(thresholds)
    if any(question.thresholds != name for question, _ in answers):
        raise InputError("these questions were asked at other thresholds than those of now: tag and ask anew")
    scores, weights = (np.array([getattr(q, key) for q, _ in answers]) for key in ("score", "weight"))
    truth = np.array([bool(answer) for _, answer in answers])
    found = estimate(scores, truth, weights)
    if found.cut == 0.5:
        return found, thresholds
    classes = np.flatnonzero(thresholds.values < NEVER).tolist()
    return found, thresholds.override(dict.fromkeys(classes, found.cut))


def _name(thresholds: Thresholds) -> str:
    return hashlib.sha256(thresholds.values.tobytes() + thresholds.slope.tobytes()).hexdigest()[:16]
