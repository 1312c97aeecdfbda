"""Class activation maps, and the boxes around their peaks: what CCD (k0u-id/CCD) looks at a second time.

Pixels and boxes are (left, top, right, bottom), right and bottom outside.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from piaa.errors import InputError
from piaa.training.heads import Head, Network

PEAK = 0.95
"""A peak is what exceeds this share of a map's range."""


class MapNetwork(Network):
    """A backbone whose last feature map the head classifies place by place; logits are means over the places.

    Args:
        head: C x k.
        backbone: a timm model with `forward_features`, images B x 3 x H x W to B x k x h x w.
        lift: what values of the maps above 0 are multiplied by, as CCD does it; 1 is plain average pooling.

    Raises:
        InputError: in use, for a backbone that has no such feature map.
    """

    head: Head
    backbone: nn.Module

    def __init__(self, head: Head, backbone: nn.Module, lift: float = 1.0) -> None:
        super().__init__(head, backbone)
        self.lift = lift

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits B x C, and the mean features B x 1 x k."""
        seen = self._seen(inputs)
        maps = lifted_maps(seen, self.head.weight, self.head.bias, self.lift)
        return maps.mean(dim=(2, 3)), seen.mean(dim=(2, 3))[:, None]

    def maps(self, inputs: Tensor) -> Tensor:
        """Activation maps B x C x h x w."""
        return lifted_maps(self._seen(inputs), self.head.weight, self.head.bias, self.lift)

    def _seen(self, inputs: Tensor) -> Tensor:
        seen: Tensor = self.backbone.forward_features(inputs)  # type: ignore[operator]
        if seen.ndim != 4 or seen.shape[1] != self.head.weight.shape[1]:
            raise InputError(
                f"activation maps need a backbone whose last layer is a map of {self.head.weight.shape[1]} channels, "
                f"such as resnet50; this one gives {tuple(seen.shape[1:])}"
            )
        return seen


def lifted_maps(seen: Tensor, weight: Tensor, bias: Tensor, lift: float) -> Tensor:
    """A classifier C x k (and C) at each place of B x k x h x w; values above 0 times `lift`: B x C x h x w."""
    maps = F.conv2d(seen, weight[:, :, None, None], bias)
    return torch.where(maps > 0, lift * maps, maps)


def spread(maps: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Maps with their least at 0 and their greatest at almost 1, along `dims`."""
    least, most = maps.amin(dim=dims, keepdim=True), maps.amax(dim=dims, keepdim=True)
    return (maps - least) / (most - least + 1e-5)


def peak_box(map_: Tensor, size: tuple[int, int], margin: int, peak: float = PEAK) -> tuple[int, int, int, int]:
    """The box around the peak of one activation map, as CCD's code has it.

    The map is brought to the image's size by bilinear interpolation. The first and the last pixel of the peak, row by
    row, are two corners of the box, which need not hold the whole of a peak; it grows by `margin` on each side.

    Args:
        map_: h x w.
        size: (height, width) of the image.
        margin: pixels.
        peak: share of the map's range that a peak exceeds.
    """
    height, width = size
    large = F.interpolate(map_[None, None].float(), (height, width), mode="bilinear", align_corners=False)
    places = (spread(large, (2, 3))[0, 0] > peak).nonzero()
    if not len(places):  # a map of one value has no peak
        return 0, 0, width, height
    (top, left), (bottom, right) = places[0].tolist(), places[-1].tolist()
    return (
        max(0, min(left, right) - margin),
        max(0, min(top, bottom) - margin),
        min(width, max(left, right) + margin),
        min(height, max(top, bottom) + margin),
    )


def peak_means(maps: Tensor, patches: Tensor, peak: float = PEAK) -> Tensor:
    """The mean of the patches under a map's peak, for each class.

    Args:
        maps: B x C x M, one value a patch.
        patches: B x M x d.
        peak: share of the map's range that a peak exceeds.

    Returns:
        B x C x d.
    """
    under = (spread(maps, (2,)) > peak).float()
    return (under @ patches) / under.sum(dim=2)[..., None].clamp(min=1)


def tile_boxes(width: int, height: int, side: int) -> list[tuple[int, int, int, int]]:
    """The side x side tiles of an image, row by row, as CDUL and AEVLP cut them: what does not divide is left out.

    A side of less than `side` pixels gives tiles of one pixel.
    """
    across, down = max(1, width // side), max(1, height // side)
    corners = [
        (min(column * across, width - 1), min(row * down, height - 1)) for row in range(side) for column in range(side)
    ]
    return [(left, top, min(left + across, width), min(top + down, height)) for left, top in corners]
