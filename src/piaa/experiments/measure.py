"""Fit and score on stored embeddings: what every kind of experiment is made of."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from piaa.engine import Learner, Scorer, Setup
from piaa.errors import InputError
from piaa.evaluation import metrics
from piaa.evaluation.evaluate import method_scores
from piaa.evaluation.truth import Truth
from piaa.experiments.features import Features
from piaa.method.recipes import Recipe
from piaa.vocabulary.labels import Label

RESAMPLES = 200


@dataclass(frozen=True)
class Learnt:
    """A fit on stored embeddings.

    Attributes:
        learner: with all its evidence.
        scorer: the finished one.
        retained: m x 3 int64, (class, image, patch) of the patches that purification kept.
        bank_seconds: that harvesting took.
        closed_form_seconds: that stages I to III, scales and thresholds took.
    """

    learner: Learner
    scorer: Scorer
    retained: Tensor
    bank_seconds: float
    closed_form_seconds: float


def learn(setup: Setup, labels: Sequence[Label], prototypes: Tensor, recipe: Recipe, features: Features) -> Learnt:
    """Algorithm 1 on the embeddings of the unlabelled images."""
    begin = time.monotonic()
    learner = Learner(setup, labels, prototypes, recipe)
    for encoded, indices in features.batches():
        learner.update_encoded(encoded, indices)
    return finish(learner, time.monotonic() - begin)


def finish(learner: Learner, bank_seconds: float = 0.0) -> Learnt:
    """Stages I to III on what a learner has gathered, and the scorer."""
    begin = time.monotonic()
    classifier = learner.finish()
    retained, scorer = classifier.statistics["retained"], Scorer(learner.setup, classifier)
    return Learnt(learner, scorer, retained, bank_seconds, time.monotonic() - begin)


def score(learnt: Learnt, features: Features) -> dict[str, Tensor]:
    """Scores n x C of every method of `piaa.evaluation.evaluate.METHODS`."""
    parts: dict[str, list[Tensor]] = {}
    for encoded, _ in features.batches():
        for name, scores in method_scores(learnt.scorer.classifier, encoded).items():
            parts.setdefault(name, []).append(scores)
    return {name: torch.cat(part) for name, part in parts.items()}


def fused_at(learnt: Learnt, features: Features, alphas: Sequence[float]) -> dict[float, Tensor]:
    """Scores n x C of eq. 13 at several weights alpha, from one pass over the patches."""
    parts: dict[float, list[Tensor]] = {alpha: [] for alpha in alphas}
    at = {alpha: replace(learnt.scorer.learnt, alpha=alpha) for alpha in alphas}
    for encoded, _ in features.batches():
        pooled = learnt.scorer.learnt.pooled(encoded.patches)
        for alpha, classifier in at.items():
            parts[alpha].append(classifier.fused(pooled, encoded.cls))
    return {alpha: torch.cat(part) for alpha, part in parts.items()}


def targets(truth: Truth, ids: Sequence[str]) -> tuple[list[int], list[str]]:
    """Which of the images the truth knows: their rows, and their keys in it.

    Raises:
        InputError: when it knows none.
    """
    keys = [name if name in truth.labels else truth.find(name) for name in ids]
    rows = [row for row, key in enumerate(keys) if key is not None]
    if not rows:
        raise InputError("the data set's truth names none of its test images")
    return rows, [key for key in keys if key is not None]


def mean_ap(scores: Tensor, labels: Tensor) -> tuple[float, float, float]:
    """mAP in percent with its 95% bootstrap interval over images: value, low, high."""
    interval = metrics.bootstrap_interval(metrics.mean_average_precision, scores, labels, resamples=RESAMPLES)
    return 100 * interval.value, 100 * interval.low, 100 * interval.high
