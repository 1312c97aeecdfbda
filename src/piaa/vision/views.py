"""In how many sizes an image is seen, and in how many pieces.

Small objects are seen in a larger image, large ones in a smaller one: with two sizes the patches of both are the
image's patches, and [CLS] is that of the smaller. The larger one may be cut into tiles that are seen one by one, each
at a size near that of training: attention costs less, and no patch is seen at a size that the model never met.
docs/adaptive.md has what it gains and costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms import functional as TF

from piaa.errors import InputError
from piaa.vision.encoder import Encoded, ImageEncoder

Size = tuple[int, int]


class Look(NamedTuple):
    """One look at an image.

    Attributes:
        factor: its size in units of the image size.
        tiles: into so many by so many tiles it is cut.
    """

    factor: float
    tiles: int = 1

    def __str__(self) -> str:
        return f"{self.factor:g}" + (f" in {self.tiles} x {self.tiles} tiles" if self.tiles > 1 else "")


VIEWS: dict[str, tuple[Look, ...]] = {
    "one": (Look(1.0),),
    "tiled": (Look(1.0), Look(1.5, 2)),
    "two-near-sizes": (Look(1.0), Look(1.375)),
    "two-sizes": (Look(1.0), Look(1.5)),
}
"""By name, ascending from 1. No quality has the last two any more; older classifiers have."""


@dataclass(frozen=True)
class Views:
    """The sizes in which an image is seen; made by `views_of`.

    Attributes:
        name: a name of `VIEWS`.
        sizes: (height, width) in pixels, ascending; the last one enters the encoder, the others are made of it.
        tiles: of each size, so many by so many; 1: it is seen whole.
    """

    name: str
    sizes: tuple[Size, ...]
    tiles: tuple[int, ...]

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return len(self.sizes) > 1


def views_of(name: str, size: Size, patch: Size) -> Views:
    """Sizes in whole patches of each tile.

    Args:
        name: a name of `VIEWS`.
        size: (height, width) of the smallest view, in pixels.
        patch: likewise, of a patch.

    Raises:
        InputError: for a name that does not exist.
    """
    if name not in VIEWS:
        raise InputError(f"no views are called {name!r}; choose one of: {', '.join(VIEWS)}")
    larger = [(_whole(size[0], patch[0], look), _whole(size[1], patch[1], look)) for look in VIEWS[name][1:]]
    return Views(name, (size, *larger), tuple(look.tiles for look in VIEWS[name]))


def _whole(side: int, patch: int, look: Look) -> int:
    """The side of a look in whole patches of its tiles, one patch at least."""
    step = patch * look.tiles
    return max(1, round(side * look.factor / step)) * step


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
        looks = zip(self.views.sizes, self.views.tiles, strict=True)
        seen = [self._seen(_resized(images, size), tiles) for size, tiles in looks]
        return Encoded(seen[0].cls, torch.cat([view.patches for view in seen], dim=1), seen[-1].grid)

    def _seen(self, images: Tensor, tiles: int) -> Encoded:
        return self.encoder(images) if tiles == 1 else joined(self.encoder(cut(images, tiles)), tiles)


def cut(images: Tensor, tiles: int) -> Tensor:
    """N x 3 x H x W into tiles: (N tiles tiles) x 3 x H/tiles x W/tiles, those of an image together, row by row."""
    n, channels, height, width = images.shape
    parts = images.reshape(n, channels, tiles, height // tiles, tiles, width // tiles)
    return parts.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, height // tiles, width // tiles)


def joined(seen: Encoded, tiles: int) -> Encoded:
    """What was seen of `cut` images, as seen of the whole ones: patches row by row; [CLS] is the mean of the tiles'."""
    (rows, columns), width = seen.grid, seen.patches.shape[-1]
    parts = seen.patches.reshape(-1, tiles, tiles, rows, columns, width).transpose(2, 3)
    cls = seen.cls.reshape(-1, tiles * tiles, seen.cls.shape[-1]).mean(dim=1)
    return Encoded(cls, parts.reshape(len(cls), -1, width), (tiles * rows, tiles * columns))


def _resized(images: Tensor, size: Size) -> Tensor:
    if images.shape[-2:] == size:
        return images
    smaller: Tensor = TF.resize(images, list(size), TF.InterpolationMode.BICUBIC, antialias=True)
    return smaller
