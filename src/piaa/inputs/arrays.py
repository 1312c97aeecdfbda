"""Numbers of any depth become 8-bit pixels: arrays, tensors, and the deep channels of files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from piaa.errors import ImageError


def from_tensor(value: Tensor, name: str, max_pixels: int) -> Image.Image:
    """A tensor H x W or 1, 3 or 4 x H x W as a PIL image of mode L, RGB or RGBA; values as in `from_array`.

    Raises:
        ImageError: shape, type or value range is none of these.
    """
    channels_last = value.detach().cpu()
    if channels_last.is_floating_point():
        channels_last = channels_last.float()  # numpy has no bfloat16
    if channels_last.ndim == 3:
        channels_last = channels_last.permute(1, 2, 0)
    return from_array(channels_last.numpy(), name, max_pixels, f"tensor of shape {tuple(value.shape)}")


def from_array(array: NDArray[Any], name: str, max_pixels: int, what: str = "") -> Image.Image:
    """An array H x W, H x W x 1, x 3 or x 4 as a PIL image of mode L, RGB or RGBA.

    Args:
        array: integers 0 to 255 (uint16: 0 to 65535), floats and booleans 0 to 1.
        name: how errors call it.
        max_pixels: the largest height x width.
        what: how errors describe it; by default its shape.

    Raises:
        ImageError: shape, type or value range is none of these.
    """
    what = what or f"array of shape {array.shape}"
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or 0 in array.shape:
        raise ImageError(name, f"{what}: wanted H x W or H x W x 3 (tensors: 3 x H x W), none of them empty")
    if array.shape[0] * array.shape[1] > max_pixels:
        raise ImageError(name, f"{what}: more than {max_pixels:,} pixels")
    return Image.fromarray(_array_to_uint8(array, name, what))


def _array_to_uint8(array: NDArray[Any], name: str, what: str) -> NDArray[np.uint8]:
    kind = array.dtype.kind
    if kind not in "biuf":
        raise ImageError(name, f"{what}: values of type {array.dtype} are not pixels")
    low, high = float(array.min()), float(array.max())
    top = 1.0 if kind in "bf" else 65535.0 if array.dtype == np.uint16 else 255.0
    slack = 1e-3 if kind == "f" else 0.0  # resizing overshoots a little
    if not (low >= -slack and high <= top + slack):  # written so that NaN fails too
        raise ImageError(
            name,
            f"{what}: {array.dtype} values from {low:g} to {high:g}, wanted 0 to {top:g}"
            + (" (already normalised? give the picture itself)" if kind == "f" else ""),
        )
    scaled = array.astype(np.float64) * (255.0 / top)
    return np.ascontiguousarray(np.rint(scaled.clip(0, 255)), dtype=np.uint8)


def to_8_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey values of any depth as 0 to 255.

    16-bit unsigned: 65535 is white. Others go by their range: floats within 0 to 1, any within 0 to 255,
    integers within 0 to 65535; a file that fits none of these (elevations, negative values) is stretched from
    its least to its greatest. Values that are not finite count as the least.
    """
    floats = values.astype(np.float64)
    finite = np.isfinite(floats)
    if not finite.any():
        raise ValueError("no finite value in it")
    low, high = floats[finite].min(), floats[finite].max()
    floats = np.where(finite, floats, low)
    if values.dtype == np.uint16:
        low, high = 0.0, 65535.0
    elif values.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    elif values.dtype.kind in "iu" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    return np.asarray(np.rint((floats - low) * (255.0 / (high - low or 1.0))), dtype=np.uint8)
