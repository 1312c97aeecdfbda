"""A learnt classifier with its loaded model: what `piaa.recognizer.Recognizer` is once it has learnt or was loaded."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError as ScikitNotFittedError

from piaa.classifier import Classifier
from piaa.engine import Setup
from piaa.errors import InputError
from piaa.method.calibration import Calibrated
from piaa.method.thresholds import Thresholds
from piaa.methods import AnyScorer, scorer_of
from piaa.qualities import get_quality
from piaa.questions import Question, ask, learn
from piaa.setups import parameters_of, setup_of
from piaa.tags import Tags

_BUILDING = threading.RLock()  # one thread builds a scorer, the others wait for it


class NotFittedError(InputError, ScikitNotFittedError):  # type: ignore[misc]
    """A `Recognizer` was asked for labels before it was fitted or loaded."""


class Fitted(BaseEstimator):  # type: ignore[misc]
    """The learnt classifier, the model that is kept for it, and what changes the classifier after the fit.

    Attributes:
        classifier_: the learnt `Classifier`.
        device, engine, quality, batch_size: how the model is run; see `piaa.recognizer.Recognizer`.
    """

    classifier_: Classifier
    device: str
    engine: str | None
    quality: str
    batch_size: int

    def scorer(self) -> AnyScorer:
        """The pure scorer of the fitted recognizer: tensors in, scores out."""
        classifier = self._fitted()
        with _BUILDING:
            if self._kept_for != self._where():  # another device or engine, or another process
                self._keep(self._setup_of(classifier, self._weights))
            if self._scorer is None or self._scorer.classifier is not classifier:
                assert self._kept_setup is not None
                self._scorer = scorer_of(self._kept_setup, classifier)
            return self._scorer

    @property
    def classes_(self) -> NDArray[np.str_]:
        """C class names, in the order of all columns."""
        return np.array(self._fitted().label_names)

    @property
    def thresholds_(self) -> Thresholds:
        """The learnt thresholds."""
        thresholds = self._fitted().learnt.thresholds
        if thresholds is None:
            raise InputError("this classifier has no thresholds; fit it anew")
        return thresholds

    def __sklearn_is_fitted__(self) -> bool:
        return "classifier_" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # images, not rows of features
        tags.input_tags.string = True
        tags.target_tags.required = False
        tags.target_tags.multi_output = True
        return tags

    def set_thresholds(self, thresholds: dict[str, float]) -> Self:
        """Override the threshold of some classes, each a calibrated score between 0 and 1.

        Raises:
            InputError: for a name that is no class, or a value outside (0, 1).
        """
        classifier = self._fitted()
        names = {name: index for index, name in enumerate(classifier.label_names)}
        unknown = sorted(set(thresholds) - names.keys())
        if unknown:
            raise InputError(f"no class is called {', '.join(map(repr, unknown))}; this classifier has {len(names)}")
        try:
            changed = self.thresholds_.override({names[n]: v for n, v in thresholds.items()})
        except ValueError as error:
            raise InputError(str(error)) from error
        self.classifier_ = replace(classifier, learnt=replace(classifier.learnt, thresholds=changed))
        return self

    def keep_foreign(self) -> Self:
        """From now on images that are unlike those of the fit get labels like all others; `save` keeps that."""
        classifier = self._fitted()
        self.classifier_ = replace(classifier, learnt=replace(classifier.learnt, novelty=None))
        return self

    def ask(self, tags: Tags, n: int = 100, seed: int = 0) -> list[Question]:
        """About `n` yes/no questions whose answers tell most about the labels; see `calibrate`.

        Args:
            tags: what `tag` gave for the images in question, at the thresholds of now.
            n: how many.
            seed: of the draw.

        Raises:
            InputError: when there is nothing to ask about.
        """
        return ask(tags, self.thresholds_, n, seed)

    def calibrate(self, answers: Sequence[tuple[Question, bool]]) -> Calibrated:
        """Precision, recall and F1 with intervals from answered questions; moves the thresholds where that helps.

        Leave out questions nobody answered only if that does not depend on the answer. Tag and ask anew afterwards.

        Raises:
            InputError: without answers, or for questions asked at other thresholds.
        """
        found, thresholds = learn(answers, self.thresholds_)
        learnt = replace(self.classifier_.learnt, thresholds=thresholds)
        self.classifier_ = replace(self.classifier_, learnt=learnt)
        return found

    def save(self, path: str | Path) -> None:
        """Write the classifier file (safetensors with its settings in the metadata), whole or not at all."""
        self._fitted().save(path)

    # The loaded model is a cache: it is neither a parameter nor learnt, so it is not pickled.
    _scorer: AnyScorer | None = None
    _kept_setup: Setup | None = None
    _kept_for: tuple[Any, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        for name in ("_scorer", "_kept_setup", "_kept_for"):
            state.pop(name, None)
        return state

    def _where(self) -> tuple[Any, ...]:
        return (self.device, self.engine, self.quality, self.batch_size)

    def _keep(self, setup: Setup) -> None:
        self._kept_setup, self._kept_for, self._scorer = setup, self._where(), None

    def _become(self, classifier: Classifier, setup: Setup) -> Self:
        with _BUILDING:
            self.classifier_ = classifier
            self._weights = (setup.model.name, setup.model.pretrained or None)  # absolute, unlike the parameters
            self._keep(setup)
        return self

    def _setup_of(self, classifier: Classifier, weights: tuple[str, str | None]) -> Setup:
        """By the classifier's settings, which hold whatever the parameters have become since; weights by name."""
        setup = setup_of(weights, **parameters_of(classifier.settings), **self._run_by())
        classifier.check_model(setup.model.fingerprint, setup.model.embed_dim)
        return setup

    def _run_by(self) -> dict[str, Any]:
        return {
            "device": self.device,
            "engine": self.engine or get_quality(self.quality).engine,
            "batch_size": self.batch_size,
        }

    def _fitted(self) -> Classifier:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError("this Recognizer is not fitted yet; call fit(images) or Recognizer.load(path) first")
        return self.classifier_
