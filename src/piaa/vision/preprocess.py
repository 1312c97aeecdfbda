"""Pixels become a tensor: resize, crop, pad or squash, normalise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as TF

from piaa.errors import InputError

Resize = Literal["shortest", "squash", "pad"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
MAX_ASPECT = 8
"""A longer image loses its ends before it is resized, so that a strip does not fill memory."""

AMPLE = 2
"""A picture of so many times the wanted side or more is resized to what the whole one gives, to a grey value or so."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Preprocess:
    """PIL RGB image to float32 `3 x height x width`. Made by `build_preprocess`; can be sent to other
    processes.

    Attributes:
        image_size: (height, width) of the result in pixels.
        resize: see `build_preprocess`.
        mean: per channel, of pixels in [0, 1].
        std: likewise.
        interpolation: `bicubic`, `bilinear` or `nearest`.
    """

    image_size: tuple[int, int]
    resize: Resize = "shortest"
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    interpolation: str = "bicubic"

    def __call__(self, image: Image.Image) -> Tensor:
        """Normalised pixels, `3 x height x width`, float32."""
        image = image if image.mode == "RGB" else image.convert("RGB")
        fitted = {"shortest": self._cover, "squash": self._squash, "pad": self._pad}[self.resize](image)
        return normalise(np.asarray(fitted), self.mean, self.std)

    @property
    def ample(self) -> int:
        """Pixels a side from which on a larger picture makes no visible difference: `AMPLE` times the longer side."""
        return AMPLE * max(self.image_size)

    def region(self, width: int, height: int) -> Box:
        """The part of a `width` x `height` image that the result shows: left, top, right, bottom in its
        pixels.

        With `pad` it reaches beyond the image; with `shortest` it leaves out what the crop cuts off.
        """
        rows, columns = self.image_size
        if self.resize == "squash":
            return 0.0, 0.0, float(width), float(height)
        choose = max if self.resize == "shortest" else min
        scale = choose(columns / width, rows / height)
        half_width, half_height = columns / scale / 2, rows / scale / 2
        return (
            width / 2 - half_width,
            height / 2 - half_height,
            width / 2 + half_width,
            height / 2 + half_height,
        )

    @property
    def _mode(self) -> InterpolationMode:
        return InterpolationMode(self.interpolation)

    def _squash(self, image: Image.Image) -> Image.Image:
        return self._resized(image, self.image_size)

    def _cover(self, image: Image.Image) -> Image.Image:
        rows, columns = self.image_size
        limit = MAX_ASPECT * max(1.0, columns / rows, rows / columns)
        width, height = image.size
        if max(width, height) > limit * min(width, height):
            side = int(limit * min(width, height))
            image = TF.center_crop(image, [min(height, side), min(width, side)])
            width, height = image.size
        scale = max(columns / width, rows / height)
        # the published arithmetic truncates the long side: int(size * long / short)
        size = (max(rows, int(height * scale + 1e-6)), max(columns, int(width * scale + 1e-6)))
        cropped: Image.Image = TF.center_crop(self._resized(image, size), [rows, columns])
        return cropped

    def _pad(self, image: Image.Image) -> Image.Image:
        rows, columns = self.image_size
        width, height = image.size
        scale = min(columns / width, rows / height)
        inner = (max(1, min(rows, round(height * scale))), max(1, min(columns, round(width * scale))))
        background = Image.new("RGB", (columns, rows), tuple(round(255 * value) for value in self.mean))
        background.paste(self._resized(image, inner), ((columns - inner[1]) // 2, (rows - inner[0]) // 2))
        return background

    def _resized(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        if image.size == size[::-1]:
            return image
        resized: Image.Image = TF.resize(image, list(size), self._mode)
        return resized


def normalise(pixels: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The bits of torchvision's `to_tensor` and `normalize`, in one thread.

    NumPy does it, since torch would start a further thread in each thread that decodes, which would want the
    encoder's processors (`benchmarks/steps.py`).

    Args:
        pixels: `height x width x 3`.
        mean: of each channel, of pixels in [0, 1].
        std: likewise.

    Returns:
        `3 x height x width`, float32.
    """
    values = pixels.transpose(2, 0, 1).astype(np.float32, order="C")
    values /= np.float32(255)
    values -= np.asarray(mean, np.float32)[:, None, None]
    values /= np.asarray(std, np.float32)[:, None, None]
    return torch.from_numpy(values)


def build_preprocess(
    image_size: int | tuple[int, int],
    resize: str = "shortest",
    mean: Sequence[float] = CLIP_MEAN,
    std: Sequence[float] = CLIP_STD,
    interpolation: str = "bicubic",
) -> Preprocess:
    """The preprocessing of a model.

    Args:
        image_size: side, or (height, width), in pixels.
        resize: `shortest`, the published one: the short side to the size, centre crop; `squash`: the whole
            image, its aspect lost; `pad`: the whole image, its aspect kept, the rest filled with the mean
            colour.
        mean: of each channel, of pixels in [0, 1].
        std: likewise.
        interpolation: `bicubic`, `bilinear` or `nearest`.

    Raises:
        InputError: for a value that none of these is.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else (int(image_size[0]), int(image_size[1]))
    if min(size) < 1:
        raise InputError(f"image size {size[0]} x {size[1]} is not positive")
    if resize not in get_args(Resize):
        raise InputError(f"no resize mode is called {resize!r}; choose one of: {', '.join(get_args(Resize))}")
    if interpolation not in ("bicubic", "bilinear", "nearest"):
        raise InputError(f"no interpolation is called {interpolation!r}; choose bicubic, bilinear or nearest")
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise InputError(f"mean {tuple(mean)} and std {tuple(std)} must be three numbers each, std above 0")
    return Preprocess(size, resize, tuple(mean), tuple(std), interpolation)  # type: ignore[arg-type]
