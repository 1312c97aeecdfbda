"""Methods other than PIAA between tensors: `MethodLearner` and `MethodScorer` stand where `Learner` and `Scorer` do.

Their classifier is a `Classifier` whose settings name the method with all its constants; its tensors are among the
statistics, as `words.NAME` and `learnt.NAME`. What is PIAA's in it are the thresholds, learnt by the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from piaa.baselines import Method, OnEmbeddings, get_method, method_from_dict
from piaa.baselines.base import Observer
from piaa.baselines.sample import RowSample
from piaa.classifier import Classifier
from piaa.engine import Learner, Scorer, Seen, Setup, digest, software
from piaa.errors import ClassifierError, InputError
from piaa.method.patch_classifier import PatchClassifier
from piaa.method.recipes import Scales
from piaa.method.thresholds import DEFAULT_RULE, learn_thresholds
from piaa.vocabulary.alike import vocabulary_notes
from piaa.vocabulary.labels import Label
from piaa.vocabulary.prototypes import resolve_templates

SETTING = "method"
WORDS, LEARNT = "words.", "learnt."
NO_SCALES = Scales(1.0, 1.0, 1.0)
"""A classifier has scales; a method's are among its own constants."""


def templates_of(method: Method, templates: str | Sequence[str]) -> tuple[str, ...]:
    """`published` are the method's own templates; anything else is what it says."""
    return method.templates if templates == "published" else resolve_templates(templates)


def observer_of(method: Method, setup: Setup, words: dict[str, Tensor]) -> Observer:
    """The function from images to rows.

    Raises:
        InputError: for an engine, where the method takes the tower apart and so cannot use one.
        ModelError: for a tower that the method cannot use.
    """
    if not isinstance(method, OnEmbeddings) and setup.engine not in ("eager", "auto"):
        raise InputError(
            f"--engine {setup.engine}: {method.name} takes the image tower apart, so it runs in eager alone; leave "
            "--engine out"
        )
    return method.observer(setup, words)


class MethodLearner:
    """A stream of image batches becomes the classifier of a method. Memory does not grow with the images.

    Args:
        setup: model, front-end, preprocessing.
        labels: C classes.
        method: the method.
        templates: resolved.

    Attributes:
        vocabulary_notes: as of `piaa.engine.Learner`.
        fingerprint: changes with anything that changes what is learnt from an image.
    """

    def __init__(self, setup: Setup, labels: Sequence[Label], method: Method, templates: Sequence[str]) -> None:
        self.setup, self.labels, self.method = setup, list(labels), method
        self.preprocess = setup.preprocess
        self.words = method.words(setup.model, labels, templates)
        self.vocabulary_notes = vocabulary_notes([label.name for label in labels], self.words["prototypes"])
        tensors = (tensor for _, tensor in sorted(self.words.items()))
        self.fingerprint = digest(setup.describe(), method.plain(), [label.phrases for label in labels], *tensors)
        self.sample = RowSample()
        self._observe = observer_of(method, setup, self.words)

    @property
    def images(self) -> int:
        """Images seen."""
        return self.sample.images

    def update(self, images: Tensor, indices: Sequence[int]) -> None:
        """Take in a batch N x 3 x H x W; `indices` number the images in the whole run."""
        self.update_rows(self._observe(images), indices)

    def update_rows(self, rows: Tensor, indices: Sequence[int]) -> None:
        """Take in a batch that is observed already."""
        self.sample.update(rows, indices)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything learnt so far, for a checkpoint."""
        return self.sample.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a checkpoint.

        Raises:
            ValueError: when it is of another shape.
        """
        self.sample.load_state_dict(state)

    def finish(self, rule: str = DEFAULT_RULE) -> Classifier:
        """What the method learns from the rows, and thresholds by `rule` from the scores of the same images."""
        rows = self.sample.rows
        learnt = self.method.learn(rows, self.words)
        scores = self.method.score(rows, self.words, learnt).double().numpy()
        thresholds = learn_thresholds(scores, rule)
        prototypes = self.words["prototypes"]
        head = PatchClassifier(
            prototypes, torch.zeros(len(prototypes)), prototypes, NO_SCALES, alpha=0.0, thresholds=thresholds
        )
        names = [label.name for label in self.labels]
        return Classifier(
            self.labels,
            head,
            NO_SCALES,
            statistics={
                **{WORDS + name: tensor for name, tensor in self.words.items()},
                **{LEARNT + name: tensor for name, tensor in learnt.items()},
            },
            settings={
                **self.setup.describe(),
                SETTING: self.method.plain(),
                "threshold_rule": rule,
                "versions": software(),
            },
            report={
                "images": self.images,
                "sampled": len(rows),
                "fallbacks": {},
                "vocabulary_notes": self.vocabulary_notes,
                "threshold_notes": {names[c]: note for c, note in thresholds.notes.items()},
            },
        )


class MethodScorer:
    """Scores and decisions of a method; its attributes are those of `piaa.engine.Scorer`.

    Args:
        setup: model, front-end, preprocessing: those that the classifier was learnt with.
        classifier: what `MethodLearner` made.

    Raises:
        ClassifierError: when the file lacks a part.
    """

    def __init__(self, setup: Setup, classifier: Classifier) -> None:
        method = method_of(classifier)
        assert method is not None
        self.method = method
        self.setup, self.classifier, self.learnt = setup, classifier, classifier.learnt
        self.preprocess = setup.preprocess
        self.label_names = classifier.label_names
        tensors = classifier.statistics
        self._words = {name.removeprefix(WORDS): t for name, t in tensors.items() if name.startswith(WORDS)}
        self._own = {name.removeprefix(LEARNT): t for name, t in tensors.items() if name.startswith(LEARNT)}
        if "prototypes" not in self._words:
            raise ClassifierError("damaged: the prototypes of its method are missing")
        everything = (tensor for _, tensor in sorted({**tensors, **classifier.learnt.tensors()}.items()))
        self.fingerprint = digest(setup.describe(), self.label_names, method.plain(), *everything)
        self._observe = observer_of(method, setup, self._words)

    def observe(self, images: Tensor) -> Tensor:
        """N x 3 x H x W to rows N x K: all that the method needs of an image."""
        return self._observe(images)

    def score_set(self, rows: Tensor) -> Tensor:
        """The rows of a whole set to its scores N x C; a method that needs the set has it here."""
        learnt = self.method.learn(rows, self._words) if self.method.transductive else self._own
        return self.method.score(rows, self._words, learnt)

    def score(self, images: Tensor) -> Tensor:
        """N x 3 x H x W to scores N x C, 0 to 1.

        Raises:
            InputError: for a method that scores whole sets alone.
        """
        if self.method.transductive:
            raise InputError(
                f"{self.method.name} scores an image by all images scored with it, so it can be measured with "
                "'piaa eval' and does not tag; the same numbers come from 'piaa fit --method sparc' on the images "
                "to be tagged"
            )
        return self.method.score(self.observe(images), self._words, self._own)

    tests_foreign = False
    """Other methods have no test for images unlike those of the fit."""

    def look(self, images: Tensor) -> Seen:
        """Scores; every image is taken for a usual one."""
        return Seen(self.score(images), torch.zeros(len(images)))

    def decide(
        self, scores: Tensor, strangeness: Tensor | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Calibrated scores N x C (0..1, 0.5 is the class's threshold) and which labels each image has."""
        return self.learnt.calibrate(scores), self.learnt.decide(scores)

    def patch_maps(self, image: Image.Image) -> tuple[Tensor, Seen]:
        """For one image: where each class is, C x rows x columns, and what is known of it.

        Raises:
            InputError: for a method that does not say where.
        """
        if self.method.without_maps:
            raise InputError(
                f"the method {self.method.name} cannot explain an image: {self.method.without_maps}; "
                "piaa, tagclip and the methods with text patches can"
            )
        pixels = self.preprocess(image)
        return self.method.maps(self.setup, self._words, pixels), self.look(pixels[None])


AnyLearner = Learner | MethodLearner
AnyScorer = Scorer | MethodScorer


def method_of(classifier: Classifier) -> Method | None:
    """The method that made a classifier; None for PIAA.

    Raises:
        ClassifierError: for one that is not here.
    """
    given: dict[str, Any] | None = classifier.settings.get(SETTING)
    return None if given is None else method_from_dict(given)


def scorer_of(setup: Setup, classifier: Classifier) -> AnyScorer:
    """The scorer that suits a classifier."""
    return Scorer(setup, classifier) if method_of(classifier) is None else MethodScorer(setup, classifier)


def front_end_of(method: str | Method, front_end: str | None) -> str | None:
    """The front-end of a method, else the one that the user names.

    Raises:
        InputError: when the user names another than the method's, or the method does not exist.
    """
    known = get_method(method)
    if known is None or not known.front_end:
        return front_end
    if front_end and front_end.lower() != known.front_end:
        raise InputError(
            f"--method {known.name} uses the front-end {known.front_end}, not {front_end}; leave --front-end out, or "
            "take --method text-patches, which takes any"
        )
    return known.front_end
