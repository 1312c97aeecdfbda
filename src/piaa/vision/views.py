"""In how many sizes an image is seen.

Small objects are seen in a larger image, large ones in a smaller one: with two sizes the patches of both are the
image's patches, and [CLS] is that of the smaller. docs/adaptive.md has what it gains and costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms import functional as TF

from piaa.errors import InputError
from piaa.vision.encoder import Encoded, ImageEncoder

Size = tuple[int, int]

VIEWS: dict[str, tuple[float, ...]] = {"one": (1.0,), "two-near-sizes": (1.0, 1.375), "two-sizes": (1.0, 1.5)}
"""Name to sizes in units of the image size, ascending from 1. No quality has `two-sizes` any more; older classifiers
have."""


@dataclass(frozen=True)
class Views:
    """The sizes in which an image is seen; made by `views_of`.

    Attributes:
        name: a name of `VIEWS`.
        sizes: (height, width) in pixels, ascending; the last one enters the encoder, the others are made of it.
    """

    name: str
    sizes: tuple[Size, ...]

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return len(self.sizes) > 1


def views_of(name: str, size: Size, patch: Size) -> Views:
    """Sizes in whole patches.

    Args:
        name: a name of `VIEWS`.
        size: (height, width) of the smallest view, in pixels.
        patch: likewise, of a patch.

    Raises:
        InputError: for a name that does not exist.
    """
    if name not in VIEWS:
        raise InputError(f"no views are called {name!r}; choose one of: {', '.join(VIEWS)}")
    larger = [
        (round(size[0] * factor / patch[0]) * patch[0], round(size[1] * factor / patch[1]) * patch[1])
        for factor in VIEWS[name][1:]
    ]
    return Views(name, (size, *larger))


class SeveralViews:
    """An encoder that sees each image in several sizes.

    Args:
        encoder: sees one size at a time.
        views: the sizes.
    """

    def __init__(self, encoder: ImageEncoder, views: Views) -> None:
        self.encoder, self.views = encoder, views
        self.tower, self.front_end = encoder.tower, encoder.front_end

    def __call__(self, images: Tensor) -> Encoded:
        """Encode normalised images N x 3 x H x W of the largest size.

        Returns:
            [CLS] of the smallest size; patches of all sizes, smallest first; the grid of the largest, whose patches
            are the last ones.
        """
        seen = [self.encoder(_resized(images, size)) for size in self.views.sizes]
        return Encoded(seen[0].cls, torch.cat([view.patches for view in seen], dim=1), seen[-1].grid)


def _resized(images: Tensor, size: Size) -> Tensor:
    if images.shape[-2:] == size:
        return images
    smaller: Tensor = TF.resize(images, list(size), TF.InterpolationMode.BICUBIC, antialias=True)
    return smaller
