"""A file, some bytes, an array or a tensor becomes an upright 8-bit RGB picture, or `ImageError` says why.

The rules, in one place: the first frame of an animation; EXIF rotation honoured; colour profiles applied
(`piaa.inputs.colour`); transparency composited on white; CMYK, palette, grey and 1-bit converted; deeper than 8 bits
scaled, never clipped (`piaa.inputs.arrays.to_8_bit`). Of what kind a file is, its content says
(`piaa.inputs.formats`).
"""

from __future__ import annotations

import importlib
import io
import os
import stat
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from PIL import Image, ImageFile, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from piaa.errors import ImageError
from piaa.inputs.arrays import from_array, from_tensor, to_8_bit
from piaa.inputs.colour import to_srgb
from piaa.inputs.formats import HEAD, HEIF, JPEG_XL, RAW, SUFFIXES, Format, candidates
from piaa.inputs.jpeg_xl import size_of
from piaa.inputs.raw import open_raw

__all__ = ["MAX_PIXELS", "SUFFIXES", "ImageSource", "open_image", "printable", "to_image"]

Image.init()  # once, before any thread decodes
MAX_PIXELS = 89_478_485  # Pillow's own mark for a decompression bomb: a quarter of a gigabyte as RGB

ImageSource = str | os.PathLike[str] | bytes | Image.Image


def open_image(
    source: ImageSource, *, max_pixels: int = MAX_PIXELS, name: str | None = None, ample: int = 0
) -> Image.Image:
    """Decode one image completely.

    Args:
        source: a path, the bytes of a file, or an opened PIL image (it is left as it was).
        max_pixels: the largest width x height that is decoded. A JPEG may be larger, unless it is progressive: it is
            decoded at a half, a quarter or an eighth of its size, and that must be within.
        name: how errors call the image; by default its path, or `<bytes>`, `<PIL image>`. The ending of the name, or
            of the path, tells camera RAW and TGA from other files.
        ample: pixels a side that are enough. A JPEG may then come at a half, a quarter or an eighth of its size, whose
            sides are no shorter than that: it is decoded so, in a fraction of the time; a camera RAW at a half. 0: at
            its own size, where `max_pixels` admits that.

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
        return _to_rgb(from_tensor(value, name, max_pixels))
    if isinstance(value, np.ndarray):
        return _to_rgb(from_array(value, name, max_pixels))
    if isinstance(value, str | os.PathLike):
        return open_image(value, max_pixels=max_pixels, ample=ample)
    if isinstance(value, bytes | Image.Image):
        return open_image(value, max_pixels=max_pixels, name=name, ample=ample)
    kind = type(value).__name__
    raise ImageError(name, f"a {kind} is not an image: give a path, PIL image, array or tensor")


def printable(path: str | os.PathLike[str]) -> str:
    """The path as text that can always be written as UTF-8; bytes that are no UTF-8 show as `\\xNN`."""
    try:
        return os.fsencode(path).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a surrogate pair, from JSON
        return os.fspath(path).encode("utf-8", "backslashreplace").decode()


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
    head = stream.read(HEAD)
    stream.seek(0)
    if not head:
        raise ImageError(name, "an empty file (0 bytes)")
    kinds = list(candidates(head, name))
    if RAW in kinds:
        return _to_rgb(open_raw(stream, name, max_pixels, ample))
    missing = [kind for kind in kinds if not kind.installed]
    if missing:
        raise ImageError(name, f"{missing[0].name} is not read yet: {missing[0].remedy}")
    size = size_of(stream) if JPEG_XL in kinds else None
    if size is not None:
        _check_size(*size, name, max_pixels)
    image = _identify(stream, head, kinds, name)
    if isinstance(image, JpegImageFile):
        _shrink(image, name, max_pixels, ample)
    return _decode(image, name, max_pixels)


def _identify(stream: IO[bytes], head: bytes, kinds: Iterable[Format], name: str) -> ImageFile.ImageFile:
    """Read the header. Pillow's own `open` would refuse a large JPEG that is decoded at an eighth of its size."""
    failure: Exception | None = None
    for kind in kinds:
        _register(kind)
        for plugin in kind.pillow:
            factory, accepts = Image.OPEN[plugin]
            try:
                if accepts is None or accepts(head) is True:
                    stream.seek(0)
                    return factory(stream, "")
            except Exception as error:  # as in `_decode`
                failure = error
    reason = _what_else(head) if failure is None else f"damaged: {_plain(failure)}"
    raise ImageError(name, reason) from failure


@lru_cache(maxsize=32)
def _register(kind: Format) -> None:
    """Make Pillow know a format of another package."""
    if not kind.module:
        return
    module = importlib.import_module(kind.module)
    if kind is HEIF:
        module.register_heif_opener()


def _shrink(image: JpegImageFile, name: str, max_pixels: int, ample: int) -> None:
    """Have a JPEG decoded no larger than is ample, and no larger than `max_pixels`, where one of its scales is."""
    width, height = image.size
    if width * height > max_pixels:
        if image.info.get("progressive"):
            reason = f"{width} x {height} pixels of a progressive JPEG, which must be held whole"
            raise ImageError(name, f"too large: {reason}: more than {max_pixels:,} (a decompression bomb?)")
        scale = next((s for s in (2, 4, 8) if -(-width // s) * -(-height // s) <= max_pixels), 8)
        if not ample or min(width, height) // ample < scale:
            image.draft(None, (max(1, width // scale), max(1, height // scale)))
            return
    if ample:
        image.draft(None, (ample, ample))


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        reason = f"too large: {width} x {height} pixels, more than {max_pixels:,} (a decompression bomb?)"
        raise ImageError(name, reason)


def _decode(image: Image.Image, name: str, max_pixels: int) -> Image.Image:
    width, height = image.size
    _check_size(width, height, name, max_pixels)
    try:
        image.load()
        return _to_rgb(_upright(image))
    except MemoryError:
        raise ImageError(name, f"not enough memory to decode {width} x {height} pixels") from None
    except Exception as error:  # decoders fail in any way they like on hostile bytes
        raise ImageError(name, f"damaged or cut short: {_plain(error)}") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the pixels are good, only the EXIF block is not: take the picture as it lies
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(to_8_bit(np.asarray(image))).convert("RGB")
    image = to_srgb(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _what_else(head: bytes) -> str:
    wanted = "not a JPEG, PNG, WebP, GIF, BMP or TIFF image"
    if b"\0" not in head and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head):
        return f"{wanted} (it looks like a text file)"
    return f"{wanted}, nor of another kind that is read"


def _plain(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
