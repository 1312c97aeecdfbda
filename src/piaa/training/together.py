"""PIAA and a head that it taught, as one scorer: for people who can wait for a training."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from piaa.engine import Scorer, Seen, digest
from piaa.errors import ClassifierError
from piaa.evaluation.evaluate import method_scores
from piaa.method.patch_classifier import is_foreign
from piaa.method.thresholds import Thresholds
from piaa.training.teachers import together
from piaa.training.trained import TrainedHead

SAME = ("model_fingerprint", "front_end", "image_size", "views", "resize")
"""What a head's embeddings and a classifier's must share."""


class TogetherScorer:
    """What `piaa.jobs.tag_job` takes: the sum of both log-odds, decided by thresholds that were learnt for the sum.

    Args:
        scorer: PIAA's.
        trained: a head that PIAA taught (`--pseudo-labels piaa`).

    Raises:
        ClassifierError: the head was not taught by PIAA, or by another model, at another size, for other classes.
    """

    main = "together"

    def __init__(self, scorer: Scorer, trained: TrainedHead) -> None:
        self.scorer, self.trained = scorer, trained
        self.setup, self.preprocess, self.label_names = scorer.setup, scorer.preprocess, scorer.label_names
        self._thresholds = _checked(scorer, trained)
        self.fingerprint = digest(scorer.fingerprint, trained.features, *trained.head.state_dict().values())

    def score(self, images: Tensor) -> Tensor:
        """N x 3 x H x W to scores N x C, 0..1."""
        return self.look(images).scores

    def look_by_name(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """What `piaa eval` measures: PIAA with its parts, the head by itself, and both together, each N x C; and N: how
        unlike the images of PIAA's fit these are."""
        encoded = self.scorer.encode(images)
        seen, alone = self.scorer.look_encoded(encoded), self.trained.score(encoded.cls, encoded.patches)
        parts = method_scores(self.scorer.classifier, encoded)
        return {**parts, "head": alone, "together": together(seen.scores, alone)}, seen.strangeness

    def look(self, images: Tensor) -> Seen:
        """The same, and how unlike the images of PIAA's fit these are."""
        encoded = self.scorer.encode(images)
        seen = self.scorer.look_encoded(encoded)
        return Seen(together(seen.scores, self.trained.score(encoded.cls, encoded.patches)), seen.strangeness)

    @property
    def tests_foreign(self) -> bool:
        """Whether PIAA's classifier has a test for images unlike those of the fit."""
        return self.scorer.tests_foreign

    def decide(
        self, scores: Tensor, strangeness: Tensor | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Calibrated scores N x C (0.5 is the class's threshold), and which labels each image has."""
        plain = scores.to(torch.float64).numpy()
        decided = self._thresholds.decide(plain)
        usual = True if strangeness is None else ~is_foreign(strangeness)[:, None]
        return self._thresholds.calibrate(plain), decided & usual


def _checked(scorer: Scorer, trained: TrainedHead) -> Thresholds:
    if trained.thresholds is None:
        raise ClassifierError("this head was not taught by PIAA; train it with --pseudo-labels piaa")
    if trained.names != scorer.label_names:
        raise ClassifierError("the head was trained for other classes than the classifier was learnt for")
    settings = scorer.classifier.settings
    for key in SAME:
        mine, theirs = settings.get(key), trained.settings.get(key)
        if mine != theirs:
            raise ClassifierError(
                f"the head was trained with {key} {theirs}, the classifier was learnt with {mine}; "
                "give piaa fit and piaa train the same --model, --front-end, --image-size and --resize"
            )
    return trained.thresholds
