"""Which images are unlike all that a classifier was learnt from: a squared Mahalanobis distance, without labels.

An image is 2 d + 3 numbers: its unit-length [CLS] embedding, the mean of its unit-length patches, and the logarithms
of their norms (of [CLS], mean and spread over patches). Of the unlabelled images these have a mean and a covariance; an
image is as strange as it lies far from them. How far is too far is said by the unlabelled images themselves, each
judged by the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

FEWEST = 50
"""Unlabelled images from which on there is a test: with fewer it would reject images like those of the fit."""
DEVIATIONS = 4.0
"""The limit: so many standard deviations of the logarithm of the distance above its median."""
RIDGE = 0.3
"""Added to the variance of every standardised number, which is 1."""
EXTRA = 3
"""Numbers of an image beside two embeddings: those of its norms."""
PIECE = 64
"""Images whose patches are in double precision at a time."""
LEAST_SPREAD = 1e-4
"""Numbers that vary less count as if they varied so much."""


@dataclass(frozen=True, eq=False)
class Novelty:
    """What is usual among the unlabelled images.

    Attributes:
        mean: f numbers of an image, see `numbers_of`; float32, like the others.
        scale: f, their standard deviations.
        precision: f x f, of the standardised numbers.
        limit: the squared distance from which on an image is foreign.
    """

    mean: Tensor
    scale: Tensor
    precision: Tensor
    limit: float

    def strangeness(self, cls: Tensor, patches: Tensor) -> Tensor:
        """How far images lie from the usual, in units of the limit: above 1 an image is foreign.

        Args:
            cls: N x d, raw.
            patches: N x M x d, raw.

        Returns:
            N float32, 0 or more; NaN where an embedding is not finite.
        """
        apart = (numbers_of(cls, patches) - self.mean.double()) / self.scale.double()
        square = ((apart @ self.precision.double()) * apart).sum(dim=1)
        return (square / self.limit).sqrt().float()

    def fault(self, dim: int) -> str | None:
        """What does not fit embeddings of width d, in words, or None."""
        width = 2 * dim + EXTRA
        for name, wanted in (("mean", [width]), ("scale", [width]), ("precision", [width, width])):
            found = list(getattr(self, name).shape)
            if found != wanted:
                return f"the {name} of the test for foreign images is {found}, wanted {wanted}"
        return None if self.limit > 0 else f"the limit of the test for foreign images is {self.limit}"

    def tensors(self) -> dict[str, Tensor]:
        """All that is no plain value, by name."""
        return {"mean": self.mean, "scale": self.scale, "precision": self.precision}

    def plain(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {"version": 1, "limit": self.limit}

    @classmethod
    def from_parts(cls, tensors: dict[str, Tensor], plain: dict[str, Any]) -> Novelty:
        """The value that `tensors` and `plain` describe.

        Raises:
            KeyError, TypeError, ValueError: when something is missing, or of another kind or version.
        """
        if plain["version"] != 1:
            raise ValueError(f"a test for foreign images of version {plain['version']!r}, this piaa knows 1")
        return cls(tensors["mean"], tensors["scale"], tensors["precision"], float(plain["limit"]))


def numbers_of(cls: Tensor, patches: Tensor) -> Tensor:
    """What an image is judged by.

    Args:
        cls: N x d, raw.
        patches: N x M x d, raw.

    Returns:
        N x (2 d + 3) float64.
    """
    whole, parts = cls.double(), patches.double()
    lengths = parts.norm(dim=-1).clamp(min=1e-12).log()
    norms = (whole.norm(dim=-1).clamp(min=1e-12).log(), lengths.mean(dim=1), lengths.std(dim=1, correction=0))
    return torch.cat([F.normalize(whole, dim=-1), F.normalize(parts, dim=-1).mean(dim=1), torch.stack(norms, 1)], 1)


def learn_novelty(cls: Tensor | None, patches: Tensor | None) -> Novelty | None:
    """The test from unlabelled images; None where they are fewer than `FEWEST`, or all alike.

    Args:
        cls: n x d, raw; None for no images.
        patches: n x M x d, raw; None likewise.
    """
    if cls is None or patches is None or len(cls) < FEWEST:
        return None
    pieces = zip(torch.split(cls, PIECE), torch.split(patches, PIECE), strict=True)
    numbers = torch.cat([numbers_of(*piece) for piece in pieces])
    mean = numbers.mean(dim=0)
    scale = numbers.std(dim=0, correction=0).clamp(min=LEAST_SPREAD)
    distance, precision = distances_to_others((numbers - mean) / scale)
    logs = distance.clamp(min=1e-12).log()
    if float(logs.std()) == 0:
        return None
    limit = float((logs.median() + DEVIATIONS * logs.std()).exp())
    return Novelty(mean.float(), scale.float(), precision.float(), limit)


def distances_to_others(apart: Tensor, ridge: float = RIDGE) -> tuple[Tensor, Tensor]:
    """Squared distance of each row from the mean of the others, in the covariance of the others; in closed form.

    With A = sum of u u' + n ridge I and h = u' A^-1 u, taking a row out leaves (n/(n-1))^2 h / (1 - n/(n-1) h)
    (Sherman and Morrison): the distance of an image that was not there, so that it can be compared with new ones.

    Args:
        apart: n x f, centred rows u.
        ridge: above 0.

    Returns:
        n distances, and the precision n A^-1, f x f.
    """
    n, width = apart.shape
    identity = torch.eye(width, dtype=apart.dtype)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(apart.T @ apart + n * ridge * identity))
    leverage = ((apart @ inverse) * apart).sum(dim=1)
    ratio = n / (n - 1)
    return n * ratio**2 * leverage / (1 - ratio * leverage), n * inverse
