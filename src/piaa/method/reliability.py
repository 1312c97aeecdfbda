"""How well a classifier's scores tell what is there, from unlabelled images alone: to choose among classifiers.

With [CLS] (z), the pooled scores of an image's patches (P) and those of two halves of them there are witnesses that
err independently once it is known what is there (`piaa.method.agreement`). Then r(P, z) = r_P r_z for the correlations
r_P and r_z with presence. r_z comes from the triplet method, r_P from it, and the reliability of any score s follows
from how much of s comes of either:

    s = a P + b z + rest,   r_s = a r_P + b r_z   (standardised, least squares over the unlabelled images)

`benchmarks/check.py` measures how well this orders classifiers: docs/adaptive.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.method import paa
from piaa.method.agreement import LEAST, MOST, Reliabilities, checkerboard, correlation, cut, reliabilities
from piaa.method.evidence import Evidence
from piaa.method.patch_classifier import PatchClassifier
from piaa.method.recipes import Scales

IMAGES = 500
"""Images that an estimate looks at, at most."""
ENOUGH = 5
"""Images a class from which on more of them change little: docs/adaptive.md."""
CLEARLY = 0.05
"""By so much an estimate must be better before it is told."""
BY_ESTIMATE = "by an estimate without labels"
CLS, TEXT = "[CLS]", "text patches"
"""What stands beside the classifiers in a check: no learning at all."""


class Reliability(NamedTuple):
    """Correlations with presence, 0 to 1, the mean over classes; estimates without labels.

    Attributes:
        fused: of the scores that decide.
        patches: of the patches alone.
        cls: of [CLS] alone.
        alike: whether all patches of an image say the same, so that nothing is known of them; they count as 0 then.
    """

    fused: float
    patches: float
    cls: float
    alike: bool = False


def can_tell(classes: int, images: int, patches: int) -> bool:
    """Whether there is enough for an estimate: two of each."""
    return min(classes, images, patches) >= 2


def witnesses(learnt: PatchClassifier, cls: Tensor, patches: Tensor) -> Reliabilities:
    """r_z by the triplet method.

    Args:
        learnt: whose patch scores are the other witnesses.
        cls: N x d, raw, unlabelled.
        patches: N x M x d, raw.
    """
    first = checkerboard(patches.shape[1])
    parts = (patches, patches[:, first], patches[:, ~first])
    whole, a, b = (paa.log_odds(learnt.pooled(part), 1.0) for part in parts)
    return reliabilities(whole, a, b, cosines(learnt, cls))


def reliability(learnt: PatchClassifier, known: Reliabilities, cls: Tensor, patches: Tensor) -> Reliability:
    """What the module says, for one classifier.

    Args:
        learnt: the classifier.
        known: of `witnesses`, the same for all classifiers that are compared.
        cls: N x d, raw, unlabelled.
        patches: N x M x d, raw.
    """
    if learnt.alpha == 0:  # these are [CLS]'s scores
        return Reliability(known.cls, 0.0, known.cls, known.alike)
    pooled = learnt.pooled(patches)
    z, p = cut(cosines(learnt, cls).double()), cut(paa.log_odds(pooled, 1.0).double())
    s = cut(torch.logit(learnt.fused(pooled, cls).double(), eps=1e-9))
    pz, sp, sz = (float(correlation(x, y).mean()) for x, y in ((p, z), (s, p), (s, z)))
    of_cls = known.cls
    of_patches = 0.0 if known.alike else min(max(pz, 0.0) / max(of_cls, LEAST), MOST)
    free = max(1 - pz * pz, 1e-6)
    a, b = (sp - pz * sz) / free, (sz - pz * sp) / free
    return Reliability(min(max(a * of_patches + b * of_cls, 0.0), 1.0), of_patches, of_cls, known.alike)


def choose(candidates: Mapping[str, PatchClassifier], cls: Tensor, patches: Tensor) -> dict[str, Reliability]:
    """The reliability of every candidate, the best first; equal ones in the order given.

    Args:
        candidates: by name; the first is the one whose patches say how far to trust [CLS].
        cls: N x d, raw, unlabelled.
        patches: N x M x d, raw.
    """
    known = witnesses(next(iter(candidates.values())), cls, patches)
    found = {name: reliability(learnt, known, cls, patches) for name, learnt in candidates.items()}
    return dict(sorted(found.items(), key=lambda item: -round(item[1].fused, 6)))


def without_learning(learnt: PatchClassifier, text_scale: float) -> dict[str, PatchClassifier]:
    """[CLS] alone, and the maximum of text patches alone, with the prototypes of a classifier."""
    plain = replace(learnt.with_text(Scales(text_scale, 1.0, 1.0, "odds")), aggregator="max")
    return {CLS: replace(plain, alpha=0.0), TEXT: replace(plain, alpha=1.0)}


def cosines(learnt: PatchClassifier, cls: Tensor) -> Tensor:
    """z.t less its mean over classes: N x C."""
    return paa.centred(F.normalize(cls.to(learnt.prototypes.dtype), dim=-1) @ learnt.prototypes.T, 1.0)


def quality_of(candidates: Mapping[str, PatchClassifier], evidence: Evidence, text_scale: float) -> dict[str, Any]:
    """What is known of classifiers without labels, as plain values for a report; empty where nothing can be told.

    Args:
        candidates: by name, the one that was asked for first.
        evidence: with the sampled images.
        text_scale: of text patches.

    Returns:
        `reliability`: name to the values of `Reliability`, the best first, [CLS] and text patches among them.
    """
    cls, patches = evidence.sample.cls, evidence.sample.patches
    first = next(iter(candidates.values()))
    if cls is None or patches is None or not can_tell(first.classes, len(cls), patches.shape[1]):
        return {}
    few = slice(0, IMAGES)
    found = choose({**candidates, **without_learning(first, text_scale)}, cls[few], patches[few])
    return {"reliability": {name: value._asdict() for name, value in found.items()}}


def quality_notes(quality: Mapping[str, Any], recipe: str, images: int, classes: int) -> list[str]:
    """What a user should be told, in sentences; empty when all is well.

    Args:
        quality: what `quality_of` gave.
        recipe: what was chosen.
        images: N that were learnt from.
        classes: C.
    """
    notes = []
    if images < ENOUGH * classes:
        notes.append(
            f"learnt from {images} images for {classes} words: fewer than {ENOUGH} a word. The words themselves count "
            f"the more, and the labels will be worse than {ENOUGH * classes} or more images would make them"
        )
    found = quality.get("reliability", {})
    if found and found[recipe]["alike"]:
        notes.append(
            "all patches of an image say nearly the same with this front-end and model, so that patches tell nothing: "
            "take another --front-end ('piaa check' compares them)"
        )
    own = found[recipe]["fused"] if found else 0.0
    better = [
        name
        for name, value in found.items()
        if name in (CLS, TEXT) and value["fused"] > own + max(CLEARLY, images**-0.5)
    ]
    if better:
        notes.append(
            f"{BY_ESTIMATE}, {better[0]} alone tells more than what was learnt "
            f"({found[better[0]]['fused']:.2f} against {own:.2f}): look at some images before you trust the labels"
        )
    return notes
