"""Where labels come from when nobody gave any: CLIP's own scores, or PIAA's.

A teacher sees the embeddings of the training images and their classes' names, never a label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.errors import InputError
from piaa.method.evidence import Evidence
from piaa.method.learning import learn, sample_scores
from piaa.method.patch_classifier import PatchClassifier
from piaa.method.recipes import get_recipe
from piaa.method.thresholds import DEFAULT_RULE, learn_thresholds
from piaa.training.material import Material

CLIP_SCALE = 100.0
"""Of CLIP's softmax over cosines: the limit that its logit scale is held to."""


@dataclass(frozen=True)
class Teacher:
    """What a teacher says of N images.

    Attributes:
        name: `clip` or `piaa`.
        scores: N x C, 0..1, of the whole image.
        positives: N x C bool: at least one an image.
        score: other images' raw [CLS] n x d and patches n x M x d to n x C, 0..1, as they are and not calibrated.
        of_vectors: raw patch embeddings `... x d` to `... x C`, 0..1: of a region.
        prototypes: C x d.
    """

    name: str
    scores: Tensor
    positives: Tensor
    score: Callable[[Tensor, Tensor], Tensor]
    of_vectors: Callable[[Tensor], Tensor]
    prototypes: Tensor


def clip_teacher(material: Material) -> Teacher:
    """CLIP: softmax of scaled cosines; the first class is the one positive."""
    prototypes = material.prototypes

    def of_vectors(vectors: Tensor) -> Tensor:
        return torch.softmax(CLIP_SCALE * F.normalize(vectors.float(), dim=-1) @ prototypes.T, dim=-1)

    scores = torch.cat([of_vectors(cls) for cls, _, _ in material.batches()])
    positives = F.one_hot(scores.argmax(dim=1), scores.shape[1]).bool()
    return Teacher("clip", scores, positives, lambda cls, patches: of_vectors(cls), of_vectors, prototypes)


def piaa_teacher(material: Material, recipe: str = "default") -> Teacher:
    """PIAA learnt from these very images, without a label: calibrated scores, and the labels that it decides.

    Where it decides none, its best class is the positive.
    """
    learnt = learn_piaa(material, recipe)
    raw = torch.cat([learnt.score(cls, patches) for cls, patches, _ in material.batches()])
    decided = torch.from_numpy(learnt.decide(raw))
    first = F.one_hot(raw.argmax(dim=1), raw.shape[1]).bool()
    positives = torch.where(decided.any(dim=1, keepdim=True), decided, first)
    scores = torch.from_numpy(learnt.calibrate(raw)).float()
    return Teacher("piaa", scores, positives, learnt.score, learnt.probabilities, material.prototypes)


def learn_piaa(material: Material, recipe: str = "default") -> PatchClassifier:
    """Algorithm 1 on stored embeddings, with thresholds."""
    chosen = get_recipe(recipe)
    prototypes = material.prototypes
    evidence = Evidence(len(prototypes), prototypes.shape[1], chosen.bank_size)
    for cls, patches, rows in material.batches():
        evidence.update(cls, patches, rows, prototypes, chosen.text_scale)
    classifier = learn(evidence, prototypes, chosen).classifier
    sampled = evidence.sample.cls
    witness = None if sampled is None else classifier.cls_witness(sampled)
    return replace(classifier, thresholds=learn_thresholds(sample_scores(classifier, evidence), DEFAULT_RULE, witness))


TEACHERS: dict[str, Callable[[Material], Teacher]] = {"clip": clip_teacher, "piaa": piaa_teacher}
"""By the name that `--pseudo-labels` takes."""


def teacher_named(name: str) -> Callable[[Material], Teacher]:
    """An entry of `TEACHERS`.

    Raises:
        InputError: naming those that exist.
    """
    if name not in TEACHERS:
        raise InputError(f"no teacher is called {name!r}; choose one of: {', '.join(TEACHERS)}")
    return TEACHERS[name]


def together(teacher: Tensor, student: Tensor) -> Tensor:
    """Teacher and student as one: the sum of their log-odds, back to 0..1.

    Args:
        teacher: N x C, 0..1, not calibrated.
        student: likewise, of a head that learnt from the teacher's labels.
    """
    odds = [torch.logit(scores.double().clamp(1e-6, 1 - 1e-6)) for scores in (teacher, student)]
    return torch.sigmoid(odds[0] + odds[1])
