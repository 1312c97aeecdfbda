"""A file, some bytes, an array or a tensor becomes an upright 8-bit RGB picture, or `ImageError` says why.

The rules, in one place: the first frame of an animation; EXIF rotation honoured; transparency composited on
white; CMYK, palette, grey and 1-bit converted; deeper than 8 bits scaled, never clipped (see `_to_8_bit`).
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from piaa.errors import ImageError

Image.init()  # once, before any thread decodes: registers the formats below
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF")
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff",
})  # fmt: skip
MAX_PIXELS = 89_478_485  # Pillow's own mark for a decompression bomb: a quarter of a gigabyte as RGB

ImageSource = str | os.PathLike[str] | bytes | Image.Image


def open_image(
    source: ImageSource, *, max_pixels: int = MAX_PIXELS, name: str | None = None, ample: int = 0
) -> Image.Image:
    """Decode one image completely.

    Args:
        source: a path, the bytes of a file, or an opened PIL image (it is left as it was).
        max_pixels: the largest width x height that is decoded; up to twice `MAX_PIXELS`.
        name: how errors call the image; by default its path, or `<bytes>`, `<PIL image>`.
        ample: pixels a side that are enough. A JPEG may then come at a half, a quarter or an eighth of its size, whose
            sides are no shorter than that: it is decoded so, in a fraction of the time. 0: as it is.

    Returns:
        A loaded PIL image of mode RGB, upright; no file stays open.

    Raises:
        ImageError: it cannot be read as an image; nothing else is ever raised for bad image data.
    """
    if isinstance(source, Image.Image):
        return _decode(source, name or "<PIL image>", max_pixels)
    if isinstance(source, bytes):
        return _open_stream(io.BytesIO(source), name or "<bytes>", max_pixels, ample)
    return _open_path(Path(source), name or printable(source), max_pixels, ample)


def to_image(value: Any, *, name: str = "<image>", max_pixels: int = MAX_PIXELS, ample: int = 0) -> Image.Image:
    """Anything that can be one image, as PIL RGB.

    Args:
        value: what `open_image` takes; a numpy array H x W, H x W x 1, x 3 (RGB) or x 4 (RGBA); or a torch
            tensor H x W or 1, 3 or 4 x H x W. Integers are 0 to 255 (uint16: 0 to 65535), floats and
            booleans 0 to 1.
        name: how errors call the image.
        max_pixels: as in `open_image`.
        ample: likewise.

    Raises:
        ImageError: shape, type or value range is none of these.
    """
    if isinstance(value, torch.Tensor):
        channels_last = value.detach().cpu()
        if channels_last.is_floating_point():
            channels_last = channels_last.float()  # numpy has no bfloat16
        if channels_last.ndim == 3:
            channels_last = channels_last.permute(1, 2, 0)
        return _from_array(channels_last.numpy(), name, f"tensor of shape {tuple(value.shape)}", max_pixels)
    if isinstance(value, np.ndarray):
        return _from_array(value, name, f"array of shape {value.shape}", max_pixels)
    if isinstance(value, str | os.PathLike):
        return open_image(value, max_pixels=max_pixels, ample=ample)
    if isinstance(value, bytes | Image.Image):
        return open_image(value, max_pixels=max_pixels, name=name, ample=ample)
    kind = type(value).__name__
    raise ImageError(name, f"a {kind} is not an image: give a path, PIL image, array or tensor")


def printable(path: str | os.PathLike[str]) -> str:
    """The path as text that can always be written as UTF-8; bytes that are no UTF-8 show as `\\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _open_path(path: Path, name: str, max_pixels: int, ample: int) -> Image.Image:
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(name, "a folder, not an image file")
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device would block for ever
            raise ImageError(name, "not a regular file")
        with open(path, "rb") as stream:
            return _open_stream(stream, name, max_pixels, ample)
    except FileNotFoundError:
        dangling = path.is_symlink()
        reason = "a link to a file that does not exist" if dangling else "no such file (moved or removed?)"
        raise ImageError(name, reason) from None
    except PermissionError:
        raise ImageError(name, "no permission to read it") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ImageError(name, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _open_stream(stream: IO[bytes], name: str, max_pixels: int, ample: int) -> Image.Image:
    head = stream.read(512)
    stream.seek(0)
    if not head:
        raise ImageError(name, "an empty file (0 bytes)")
    try:
        opened = Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError(name, _what_else(head)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(name, f"too large: over {max_pixels:,} pixels (a decompression bomb?)") from None
    except Exception as error:  # decoders fail in any way they like on hostile bytes
        raise ImageError(name, f"damaged: {_plain(error)}") from error
    return _decode(opened, name, max_pixels, ample)


def _decode(image: Image.Image, name: str, max_pixels: int, ample: int = 0) -> Image.Image:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            name, f"too large: {width} x {height} pixels, more than {max_pixels:,} (a decompression bomb?)"
        )
    try:
        if ample:
            image.draft(None, (ample, ample))  # no format but JPEG does anything
        image.load()
        return _to_rgb(_upright(image))
    except MemoryError:
        raise ImageError(name, f"not enough memory to decode {width} x {height} pixels") from None
    except Exception as error:  # as above
        raise ImageError(name, f"damaged or cut short: {_plain(error)}") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the pixels are good, only the EXIF block is not: take the picture as it lies
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_to_8_bit(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _to_8_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
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


def _from_array(array: NDArray[Any], name: str, what: str, max_pixels: int) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or 0 in array.shape:
        raise ImageError(name, f"{what}: wanted H x W or H x W x 3 (tensors: 3 x H x W), none of them empty")
    if array.shape[0] * array.shape[1] > max_pixels:
        raise ImageError(name, f"{what}: more than {max_pixels:,} pixels")
    return _to_rgb(Image.fromarray(_array_to_uint8(array, name, what)))


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


def _what_else(head: bytes) -> str:
    wanted = "not a JPEG, PNG, WebP, GIF, BMP or TIFF image"
    if b"\0" not in head and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head):
        return f"{wanted} (it looks like a text file)"
    return wanted


def _plain(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
