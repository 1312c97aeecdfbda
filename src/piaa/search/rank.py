"""Images of an index in the order in which they fit a text."""

from __future__ import annotations

import torch
from torch import Tensor

from piaa.search.found import Found, Result
from piaa.search.index import SearchIndex

PATCH_SHARE = 0.75
"""How much the patches count beside [CLS]; chosen on seeds 21 and 22 of the drawn scenes (`benchmarks/search.py`)."""
DIGITS = 4
CHUNK = 256
"""Images at a time: in double precision, so that the order of a sum decides nothing, and little memory."""


def rank(index: SearchIndex, text: Tensor, patch_share: float = PATCH_SHARE) -> Result:
    """All images of an index, the nearest to a text first.

    Two cosines are taken of each image: of [CLS], and the greatest one of its pieces. Each is brought to mean 0 and
    standard deviation 1 over the index, and the score is their weighted mean, to four digits; ties in the order of
    the names. A score says nothing by itself: the first image need not show what was asked for.

    Args:
        index: N images.
        text: d, unit length.
        patch_share: 0 to 1.
    """
    if not len(index):
        return Result([], 0)
    scores = (1 - patch_share) * _standard(_cls(index, text)) + patch_share * _standard(_pieces(index, text))
    rounded = [round(score, DIGITS) + 0.0 for score in scores.tolist()]
    order = sorted(range(len(index)), key=lambda row: (-rounded[row], index.names[row]))
    return Result([Found(index.names[row], rounded[row]) for row in order], len(index))


def _cls(index: SearchIndex, text: Tensor) -> Tensor:
    return torch.cat([part.double() @ text.double() for part in torch.split(index.cls, CHUNK)])


def _pieces(index: SearchIndex, text: Tensor) -> Tensor:
    return torch.cat([(part.double() @ text.double()).amax(dim=1) for part in torch.split(index.pieces, CHUNK)])


def _standard(values: Tensor) -> Tensor:
    deviation = values.std(correction=0)
    return (values - values.mean()) / deviation if deviation > 1e-9 else torch.zeros_like(values)
