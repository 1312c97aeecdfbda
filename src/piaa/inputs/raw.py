"""Camera RAW through LibRaw (`pip install rawpy`).

Developed with the camera's white balance, brightened as LibRaw does by default, 8-bit sRGB, upright.
"""

from __future__ import annotations

import re
from typing import Any

from PIL import Image

from piaa.errors import ImageError
from piaa.inputs.chatter import overheard

_CHATTER = re.compile(rb"^unknown file: |^\S+: (data corrupted at|Unexpected end of file)")
"""What LibRaw writes to standard error; it does not know the names of our files."""


def open_raw(stream: Any, name: str, max_pixels: int, ample: int = 0) -> Image.Image:
    """Develop one RAW picture.

    Args:
        stream: the file, opened for reading bytes.
        name: how errors call it.
        max_pixels: the largest width x height.
        ample: pixels a side that are enough; where half the size has them, each 2 x 2 block of the sensor becomes one
            pixel, which takes a fraction of the time.

    Raises:
        ImageError: it cannot be read, or rawpy is not installed.
    """
    try:
        import rawpy
    except ImportError as error:
        raise ImageError(name, f"camera RAW needs rawpy: pip install rawpy ({error})") from error
    try:
        with overheard(_CHATTER):
            opened = rawpy.imread(stream)
        with opened as raw:
            width, height = raw.sizes.width, raw.sizes.height
            half = bool(ample) and min(width, height) // 2 >= ample
            if width * height > max_pixels * (4 if half else 1):
                raise ImageError(name, f"too large: {width} x {height} pixels, more than {max_pixels:,}")
            with overheard(_CHATTER) as complaints:
                raw.unpack()
            if complaints:  # LibRaw goes on, with black in place of what is missing
                raise ImageError(name, f"damaged or cut short: {complaints[0].removeprefix('unknown file: ')}")
            pixels = raw.postprocess(use_camera_wb=True, output_bps=8, half_size=half)
    except ImageError:
        raise
    except MemoryError:
        raise ImageError(name, "not enough memory to develop it") from None
    except Exception as error:  # LibRaw's own, and whatever comes of sizes that cannot be
        raise ImageError(name, f"damaged, or no RAW that LibRaw knows: {_plain(error)}") from error
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)  # a sensor without colours


def _plain(error: Exception) -> str:
    reason = error.args[0] if error.args else type(error).__name__
    return (reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)).strip()
