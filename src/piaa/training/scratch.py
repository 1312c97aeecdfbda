"""A backbone that begins with random weights: its pace, and images that are moved about."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from piaa.training.spec import Method, Pace

IMAGENET, RANDOM = "imagenet", "random"
SHIFT = 1 / 12
"""Such a network sees images moved by up to this share of their side."""
SCRATCH = Pace(epochs=40, rate=3e-3, batch=64, head=2, last=0.02)
"""No published pace is for random weights; ours."""


def pace_of(method: Method, weights: str) -> Pace:
    """The published pace, or ours for random weights."""
    return SCRATCH if weights == RANDOM else method.published


def shift_of(weights: str, size: int) -> int:
    """Pixels by which images of `size` a side are moved at the most."""
    return round(size * SHIFT) if weights == RANDOM else 0


def moved(images: Tensor, most: int, random: torch.Generator) -> Tensor:
    """Each image moved by up to `most` pixels along both sides; what comes in is mirrored at the edge.

    Args:
        images: B x 3 x H x W.
        most: below H and W.
        random: of the draw.
    """
    height, width = images.shape[-2:]
    wide = F.pad(images, (most, most, most, most), mode="reflect")
    corners = torch.randint(2 * most + 1, (len(images), 2), generator=random).tolist()
    return torch.stack([image[:, y : y + height, x : x + width] for image, (y, x) in zip(wide, corners, strict=True)])
