"""How far to trust [CLS] beside the patches, from unlabelled images alone: the weight of eq. 13 by agreement.

Three witnesses of a class are at hand: [CLS] and the pooled scores of two disjoint halves of an image's patches. If
they err independently once it is known whether the class is there, the correlations between them give the
reliability of each (the triplet method of weak supervision; Fu et al. 2020):

    r_cls^2 = r(A, cls) r(B, cls) / r(A, B)

All patches have r_P = r(P, cls) / r_cls. A witness of reliability r weighs r / (1 - r^2) on standardised scores, as in
a linear discriminant of independent witnesses, here [CLS] and all patches. Halves of one image share what confuses
both, so `r(A, B)` is too high, most of all in the upper tail, where one object lies in both halves: scores are cut at
`CUT` lower deviations above their median before they are correlated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.method import paa
from piaa.method.patch_classifier import PatchClassifier

CUT = 3.0
"""Lower deviations above the median at which scores are cut; the one setting (`benchmarks/agreement.py --cuts`)."""
PRIOR_IMAGES = 30
"""With so many images the measured weight counts as much as the recipe's own; with ten times as many, 100 times."""
ALIKE = 0.99
"""Correlation of the two halves from which on they are one witness: all patches of an image say the same."""
LEAST, MOST = 0.01, 0.98  # of correlations and of squared reliabilities: none is exactly useless or perfect
CLS_MOST = 0.6
"""The squared reliability of [CLS] that a weight believes at most: beyond it the halves agree too little to tell."""
IDLE = 0.08
"""The share that a witness is given which adds nothing, as scores of one image are never quite uncorrelated."""


class Reliabilities(NamedTuple):
    """What the witnesses say of each other.

    Attributes:
        cls: correlation of [CLS] with presence, 0 to 1.
        together: correlation of the scores of all patches with those of [CLS], 0 to 1.
        alike: whether the halves are one witness (`ALIKE`), so that the others cannot be trusted.
    """

    cls: float
    together: float
    alike: bool = False

    @property
    def cls_share(self) -> float:
        """The part of the sum of the weights of [CLS] and of all patches that is [CLS]'s, 0 to 1.

        Shares from `IDLE` to 1 - `IDLE` are stretched to 0 to 1.
        """
        cls = min(self.cls, math.sqrt(CLS_MOST))
        patches = min(self.together / cls, math.sqrt(MOST))
        share = _weight(cls) / (_weight(cls) + _weight(patches))
        return min(max((share - IDLE) / (1 - 2 * IDLE), 0.0), 1.0)


def reliabilities(whole: Tensor, first: Tensor, second: Tensor, cls: Tensor) -> Reliabilities:
    """By the triplet method, from scores of all patches, two halves of them and [CLS], N x C: one for all classes.

    Correlations are means over classes: with few images those of single classes are too uncertain to be told apart.
    """
    p, a, b, z = (cut(scores.double()) for scores in (whole, first, second, cls))
    pairs = ((a, b), (a, z), (b, z), (p, z))
    ab, az, bz, pz = (max(float(correlation(x, y).mean()), LEAST) for x, y in pairs)
    return Reliabilities(math.sqrt(min(az * bz / ab, MOST)), pz, ab >= ALIKE)


def by_agreement(learnt: PatchClassifier, cls: Tensor, patches: Tensor) -> PatchClassifier:
    """The same with alpha and the scale of [CLS] from agreement, for the fusion `odds`.

    With s the share of [CLS]: alpha = 1 - s, and the [CLS] scale is the ratio of the spreads over images, so that
    alpha weighs scores of one spread. s is drawn towards the recipe's own weight, by 1 part in
    1 + (n / `PRIOR_IMAGES`)^2 with n images.

    Args:
        learnt: with the recipe's own alpha and scales.
        cls: N x d, raw, unlabelled.
        patches: N x M x d, raw.

    Returns:
        `learnt` as it is, where nothing can be told: fewer than 2 images, classes or patches, scores all alike, or
        patches that all say the same.
    """
    if min(len(cls), learnt.classes, patches.shape[1]) < 2 or learnt.scales.fusion != "odds":
        return learnt
    first = checkerboard(patches.shape[1])
    whole, a, b = (paa.log_odds(learnt.pooled(part), 1.0) for part in (patches, patches[:, first], patches[:, ~first]))
    cosines = F.normalize(cls.to(learnt.prototypes.dtype), dim=-1) @ learnt.prototypes.T
    centred = paa.centred(cosines, 1.0)
    patch_spread, cls_spread = _spread(whole), _spread(centred)
    if patch_spread == 0 or cls_spread == 0:
        return learnt
    own = (1 - learnt.alpha) * learnt.scales.cls * cls_spread
    own = own / (own + learnt.alpha * learnt.scales.patch * patch_spread)
    found = reliabilities(whole, a, b, centred)
    if found.alike:
        return learnt
    measured, given = len(cls) ** 2, PRIOR_IMAGES**2
    share = (measured * found.cls_share + given * own) / (measured + given)
    return replace(learnt, alpha=1 - share, scales=replace(learnt.scales, patch=1.0, cls=patch_spread / cls_spread))


def as_given(learnt: PatchClassifier, cls: Tensor, patches: Tensor) -> PatchClassifier:
    """The recipe's own alpha and scales."""
    return learnt


Weighting = Callable[[PatchClassifier, Tensor, Tensor], PatchClassifier]
WEIGHTINGS: dict[str, Weighting] = {"given": as_given, "agreement": by_agreement}
"""By the name that a recipe gives."""


def checkerboard(patches: int) -> Tensor:
    """M bool: every second patch, in turns on even and odd rows of a square grid; every second one of other grids."""
    place = torch.arange(patches)
    side = round(patches**0.5)
    if side * side != patches:
        return place % 2 == 0
    board: Tensor = (place // side + place % side) % 2 == 0
    return board


def cut(scores: Tensor) -> Tensor:
    """N x C in lower deviations (median less the 16% quantile) from the median, `CUT` at most."""
    middle = scores.median(dim=0).values
    lower = (middle - torch.quantile(scores, 0.1587, dim=0)).clamp(min=1e-9)
    return ((scores - middle) / lower).clamp(max=CUT)


def correlation(x: Tensor, y: Tensor) -> Tensor:
    """Of each class over images: C; 0 where one does not vary."""
    x, y = x - x.mean(dim=0), y - y.mean(dim=0)
    return (x * y).mean(dim=0) / (x.std(dim=0, correction=0) * y.std(dim=0, correction=0)).clamp(min=1e-12)


def _weight(reliability: float) -> float:
    return reliability / (1 - reliability * reliability)


def _spread(scores: Tensor) -> float:
    """Standard deviation over images, the mean square over classes."""
    return float(scores.double().var(dim=0, correction=0).mean().sqrt())
