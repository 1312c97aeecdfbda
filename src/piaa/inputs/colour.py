"""Colours of any profile become sRGB, which is what CLIP was trained on.

A picture without a profile is taken for sRGB (CMYK: converted plainly). One whose profile is sRGB in all but name is
left as it is, bit for bit: a profile that moves no colour by more than `SAME` grey values changes nothing.
"""

from __future__ import annotations

import io
import logging
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

SAME = 2
"""Largest difference, in 8-bit grey values, that counts as none."""

_LOG = logging.getLogger("piaa.inputs.colour")
_SPACES = {"RGB": ("RGB ",), "RGBA": ("RGB ",), "L": ("GRAY",), "CMYK": ("CMYK",)}


def to_srgb(image: Image.Image) -> Image.Image:
    """Apply the picture's ICC profile.

    Args:
        image: 8 bits a channel, any mode.

    Returns:
        The picture itself where it has no profile, or one that is damaged, is another kind of picture's, or is sRGB;
        else mode RGB, or RGBA where there was transparency.
    """
    if image.mode == "LAB":
        return _from_lab().apply(image)
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile or image.mode == "1":
        return image
    if image.mode == "LA":
        transform, grey = _transform(profile, "L"), image.getchannel("L")
        if transform is not None:
            colours = transform.apply(grey)
            colours.putalpha(image.getchannel("A"))
            return colours
    changed = image
    if image.mode == "L" and _transform(profile, "L") is None:
        changed = image.convert("RGB")  # grey with the profile of colours
    elif image.mode not in _SPACES:
        changed = image.convert("RGBA" if image.has_transparency_data else "RGB")
    transform = _transform(profile, changed.mode)
    return image if transform is None else transform.apply(changed)


@lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None where nothing is to be done. Threads may share it."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if opened.profile.xcolor_space not in _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGBA" if mode == "RGBA" else "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return transform if mode == "CMYK" or _moves(transform, mode) else None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        _LOG.info("a colour profile is left out, since it cannot be used: %s", error)
        return None


def _moves(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether any colour of a grid of 17 values a channel changes by more than `SAME`."""
    steps = np.linspace(0, 255, 17).astype(np.uint8)
    if mode == "L":
        before = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
        image = Image.fromarray(before[..., 0])
    else:
        before = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(17, -1, 3)
        image = Image.fromarray(before).convert(mode)
    after = np.asarray(transform.apply(image).convert("RGB"))
    return bool(np.abs(after.astype(int) - before).max() > SAME)


@lru_cache(maxsize=1)
def _from_lab() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
