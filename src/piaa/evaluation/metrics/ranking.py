"""The images of one class in the order of their scores, and what happens to the counts when images are resampled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from piaa.errors import InputError


@dataclass(frozen=True)
class Ranking:
    """Where the positives of one class stand.

    Attributes:
        order: the images that count, best score first.
        positives: P images that have the class, best score first.
        hits: P, positives that score at least as high as this one, itself counted.
        ranks: P, images that score at least as high.
        images: N, all images, those that do not count too.
    """

    order: Tensor
    positives: Tensor
    hits: Tensor
    ranks: Tensor
    images: int

    def counts(self) -> tuple[Tensor, Tensor, Tensor]:
        """`hits`, `ranks` and `weights` of `piaa.evaluation.metrics.rules` without resampling, each P x 1, float64."""
        hits, ranks = self.hits.double()[:, None], self.ranks.double()[:, None]
        return hits, ranks, torch.ones_like(hits)

    def resampled(self, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same in B resamples.

        Args:
            weights: N x B, how often each image is drawn.

        Returns:
            Each P x B. The images are sorted once: what scores between two positives is added up in every resample at
            once.
        """
        drawn = weights[self.positives]
        hits = drawn.cumsum(dim=0)[self.hits - 1]
        begins = torch.cat([self.ranks.new_zeros(1), self.ranks[:-1]])  # empty between equal scores
        between = embedding_bag(self.order[: int(self.ranks[-1])], weights, begins, mode="sum")
        return hits, between.cumsum(dim=0), drawn


def rankings(scores: Tensor, labels: Tensor) -> list[Ranking]:
    """One for each class.

    Args:
        scores: N x C, no NaN.
        labels: N x C of 1, 0 and -1 (does not count).

    Raises:
        InputError: shapes that differ, or a score that is NaN, naming image and class.
    """
    check(scores, labels)
    scores = scores if scores.dtype == torch.float64 else scores.float()
    columns, truth = scores.T.contiguous(), labels.T.contiguous()
    return [_ranking(columns[c], truth[c]) for c in range(len(columns))]


def check(scores: Tensor, labels: Tensor) -> None:
    """Refuse what no metric is defined for.

    Raises:
        InputError: shapes that differ, or a score that is NaN, naming image and class.
    """
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise InputError(
            f"scores and labels must both be images x classes, got {tuple(scores.shape)} and {tuple(labels.shape)}"
        )
    missing = scores.isnan()
    if bool(missing.any()):
        image, kind = missing.nonzero()[0].tolist()
        raise InputError(
            f"the score of image {image}, class {kind} is NaN ({int(missing.sum())} are); "
            "leave out images without scores"
        )


def _ranking(scores: Tensor, labels: Tensor) -> Ranking:
    counted = (labels >= 0).nonzero()[:, 0]
    ordered, order = scores[counted].sort(descending=True, stable=True)
    order = counted[order]
    positive = labels[order] > 0
    places = positive.nonzero()[:, 0]
    negated = -ordered
    ranks = torch.searchsorted(negated, negated[places], right=True)
    hits = positive.cumsum(dim=0)[ranks - 1]
    return Ranking(order, order[places], hits, ranks, len(scores))
