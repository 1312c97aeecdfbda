"""Why one image got its labels: a value that `Recognizer.explain` gives and `piaa.report.explain` draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Explanation:
    """Why one image got its labels.

    Attributes:
        image: the image, RGB.
        labels: k class names.
        scores: k calibrated scores, 0 to 1.
        decided: k, whether the label was given.
        maps: k x rows x columns, p(c|patch), 0 to 1 (eq. 11), on the CPU.
        region: the part of the image that the patches cover: left, top, right, bottom in its pixels; it may
            reach beyond the image.
    """

    image: Image.Image
    labels: Sequence[str]
    scores: Sequence[float]
    decided: Sequence[bool]
    maps: Tensor
    region: Box

    @property
    def peak(self) -> float:
        """The greatest p(c|patch) of all the maps, the one that is drawn brightest."""
        return float(self.maps.max()) if self.maps.numel() else 0.0
