"""From what was seen of the unlabelled images to a classifier: all of algorithm 1 after its first pass."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from piaa.method.agreement import WEIGHTINGS
from piaa.method.evidence import Evidence
from piaa.method.gaussian import Discriminants
from piaa.method.patch_classifier import PatchClassifier
from piaa.method.pvcl import PVCLResult
from piaa.method.recipes import Recipe


class Learnt(NamedTuple):
    """What was learnt, and how.

    Attributes:
        classifier: without thresholds.
        result: of PVCL, as it was before the text's share was added.
        text_share: part of the patches' logits that is the text prototypes', 0 to 1.
    """

    classifier: PatchClassifier
    result: PVCLResult
    text_share: float


def learn(evidence: Evidence, prototypes: Tensor, recipe: Recipe, classes: int | None = None) -> Learnt:
    """Stages I to III, the scales of inference and the weight of [CLS].

    Args:
        evidence: gathered with the same prototypes, text scale and bank size.
        prototypes: (C + K) x d, unit length.
        recipe: every number.
        classes: C; the K words after them have a part of eq. 11 and no score. None: all.
    """
    return of_result(evidence.learn(prototypes, recipe), evidence, prototypes, recipe, classes)


def of_result(
    result: PVCLResult, evidence: Evidence, prototypes: Tensor, recipe: Recipe, classes: int | None = None
) -> Learnt:
    """`learn` from the end of stage III on."""
    share = text_share(evidence.images, len(prototypes), recipe.text_prior)
    learnt = _with_text(result, prototypes, evidence, share)
    weight, bias, curvature = learnt.weight, learnt.bias, learnt.curvature
    scales = evidence.scales(weight, bias, prototypes, recipe, curvature)
    asked, numbers = prototypes[:classes], (recipe.alpha, recipe.aggregator)
    classifier = PatchClassifier(weight, bias, asked, scales, *numbers, curvature=curvature)
    cls, patches = evidence.sample.cls, evidence.sample.patches
    if cls is not None and patches is not None:
        classifier = WEIGHTINGS[recipe.weighting](classifier, cls, patches)
    return Learnt(classifier, result, share)


def sample_scores(classifier: PatchClassifier, evidence: Evidence) -> NDArray[np.float64]:
    """Scores n x C, 0 to 1, of the images that the evidence has whole; n is 0 before the first."""
    cls, patches = evidence.sample.cls, evidence.sample.patches
    if cls is None or patches is None:
        return np.zeros((0, classifier.classes))
    scores: NDArray[np.float64] = classifier.score(cls, patches).double().numpy()
    return scores


def text_share(images: int, classes: int, prior: float) -> float:
    """How far few images a class leave the text prototypes in place of what was learnt:
    1 / (1 + (images / (prior C))^2).

    Args:
        images: N.
        classes: C.
        prior: images a class with which both count the same; 0: what was learnt alone.
    """
    if prior == 0:
        return 0.0
    return 1 / (1 + (images / (prior * max(classes, 1))) ** 2)


def _with_text(result: PVCLResult, prototypes: Tensor, evidence: Evidence, share: float) -> Discriminants:
    """What was learnt with a share of the text logits, both in units of their spread over classes."""
    classes = len(prototypes)
    learnt = evidence.patch_moments.spread(result.weight[:classes], result.bias[:classes])
    text = evidence.patch_moments.spread(prototypes)
    if share == 0 or learnt == 0 or text == 0:
        return Discriminants(result.weight, result.bias, result.curvature)
    others = torch.zeros(len(result.weight) - classes, prototypes.shape[1], dtype=prototypes.dtype)
    words = torch.cat([prototypes - prototypes.mean(dim=0), others])  # anything else: as likely as the mean class
    weight = (1 - share) * result.weight + share * learnt / text * words
    curvature = None if result.curvature is None else (1 - share) * result.curvature
    return Discriminants(weight, (1 - share) * result.bias, curvature)
