"""The bytes of one image become what the model takes, in a decoding thread."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from piaa.errors import ImageError
from piaa.explanation import Box
from piaa.inputs.images import to_image
from piaa.serve.refusals import Fault
from piaa.vision.preprocess import Preprocess

PREVIEW = 256
"""Pixels of the longer side of a heat map that is drawn over its image."""


@dataclass(frozen=True)
class Prepared:
    """One image, ready.

    Attributes:
        pixels: 3 x H x W float32, preprocessed.
        region: what the model sees: left, top, right, bottom in shares of width and height of the image; beyond 0 and 1
            where it was padded.
        preview: a small copy for heat maps, if asked for.
    """

    pixels: Tensor
    region: Box
    preview: Image.Image | None


def prepare(data: bytes, preprocess: Preprocess, max_pixels: int, preview: bool) -> Prepared | Fault:
    """Decode and preprocess as `piaa tag` does. Nothing but the bytes is read, and nothing is ever raised.

    Args:
        data: of an image file.
        preprocess: of the classifier.
        max_pixels: width x height that is decoded at most.
        preview: keep a small copy.
    """
    try:
        picture = to_image(data, name="image", max_pixels=max_pixels, ample=preprocess.ample)
        left, top, right, bottom = preprocess.region(*picture.size)
        region = (left / picture.width, top / picture.height, right / picture.width, bottom / picture.height)
        return Prepared(preprocess(picture), region, _small(picture) if preview else None)
    except ImageError as error:
        return Fault("too-many-pixels" if error.reason.startswith("too large") else "unreadable", error.reason)
    except MemoryError:
        return Fault("failed", "not enough memory to prepare it")
    except Exception as error:  # one image must not stop the others
        return Fault("unreadable", f"cannot be prepared: {type(error).__name__}: {error}")


def _small(picture: Image.Image) -> Image.Image:
    small = picture.copy()
    small.thumbnail((PREVIEW, PREVIEW), Image.Resampling.LANCZOS)
    return small
