"""SPARC (CVPR 2025): scores of single and of compound prompts, standardised and joined.

Compound prompts name several classes ("a cat and a dog"). Their cosines say more about a class than its own prompt
where both are there; which part of them does is found from unlabelled images, as the first principal direction.

The published code takes all statistics from the whole test set, so that an image's scores depend on the others. Here
`SparcStatistics` are learnt from one set of images and then used for each image by itself; learnt from the test set
they give the published numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from piaa.errors import InputError


@dataclass(frozen=True)
class SparcStatistics:
    """What is learnt from images without labels.

    Attributes:
        singleton_mean: C, with `singleton_std`: of the standardised rows, column by column.
        compound_mean: P, with `compound_std`: likewise, for the compound prompts.
        directions: for each class k + 1 weights with the sum of magnitudes 1: of its k compound scores in ascending
            order, then of its own; None for a class without compound prompts.
    """

    singleton_mean: Tensor
    singleton_std: Tensor
    compound_mean: Tensor
    compound_std: Tensor
    directions: list[Tensor | None]


def standardised_rows(singleton: Tensor, simple: Tensor, compound: Tensor) -> tuple[Tensor, Tensor]:
    """Each image by itself: its ensemble cosines by their own mean and deviation, its compound ones by the plain ones'.

    Args:
        singleton: N x C, cosines with an ensemble prompt of each class.
        simple: N x C, with one plain prompt of each class.
        compound: N x P, with the compound prompts.

    Returns:
        N x C and N x P.
    """
    own = (singleton - singleton.mean(dim=1, keepdim=True)) / singleton.std(dim=1, keepdim=True)
    return own, (compound - simple.mean(dim=1, keepdim=True)) / simple.std(dim=1, keepdim=True)


def learn(singleton: Tensor, simple: Tensor, compound: Tensor, members: Tensor) -> SparcStatistics:
    """Statistics of N unlabelled images; arguments as of `standardised_rows`.

    Args:
        singleton: N x C.
        simple: N x C.
        compound: N x P.
        members: P x C, 1 where a prompt names a class.

    Raises:
        InputError: for fewer than 2 images or 2 classes, or where all of them are alike: then there is no deviation.
    """
    if min(singleton.shape) < 2:
        raise InputError(f"SPARC needs 2 images and 2 classes at least, not {' and '.join(map(str, singleton.shape))}")
    rows, compounds = standardised_rows(singleton, simple, compound)
    means = rows.mean(dim=0), compounds.mean(dim=0)
    stds = rows.std(dim=0), compounds.std(dim=0)
    own, others = (rows - means[0]) / stds[0], (compounds - means[1]) / stds[1]
    if not bool(own.isfinite().all() and others.isfinite().all()):
        raise InputError(
            "SPARC cannot standardise cosines that are the same for all images or all classes; give more images that "
            "differ, and class names that differ"
        )
    directions = [_direction(own, others, members, index) for index in range(members.shape[1])]
    return SparcStatistics(means[0], stds[0], means[1], stds[1], directions)


def normalised(singleton: Tensor, simple: Tensor, compound: Tensor, known: SparcStatistics) -> tuple[Tensor, Tensor]:
    """Rows and then columns standardised: N x C and N x P."""
    rows, compounds = standardised_rows(singleton, simple, compound)
    own = (rows - known.singleton_mean) / known.singleton_std
    return own, (compounds - known.compound_mean) / known.compound_std


def projections(own: Tensor, compound: Tensor, members: Tensor, known: SparcStatistics) -> Tensor:
    """Each class's normalised scores along its direction, not centred: N x C; its own score where it has none."""
    columns = [
        own[:, index] if direction is None else _columns(own, compound, members, index) @ direction
        for index, direction in enumerate(known.directions)
    ]
    return torch.stack(columns, dim=1)


def score(singleton: Tensor, simple: Tensor, compound: Tensor, members: Tensor, known: SparcStatistics) -> Tensor:
    """Half the projection and half the class's own normalised score: N x C, unbounded, higher is surer."""
    own, others = normalised(singleton, simple, compound, known)
    return (projections(own, others, members, known) + own) / 2


def _columns(own: Tensor, compound: Tensor, members: Tensor, index: int) -> Tensor:
    """A class's compound scores in ascending order within each image, then its own: N x (k + 1)."""
    named = compound[:, members[:, index] > 0].sort(dim=1).values
    return torch.cat([named, own[:, index : index + 1]], dim=1)


def _direction(own: Tensor, compound: Tensor, members: Tensor, index: int) -> Tensor | None:
    """First principal direction over images, its mean above 0, magnitudes with the sum 1."""
    if not bool((members[:, index] > 0).any()):
        return None
    columns = _columns(own, compound, members, index).double()
    _, _, axes = torch.linalg.svd(columns - columns.mean(dim=0), full_matrices=False)
    direction = axes[0] * torch.where(axes[0].mean() < 0, -1.0, 1.0)
    unit: Tensor = (direction / direction.abs().sum()).to(own.dtype)
    return unit
