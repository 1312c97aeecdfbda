"""Pictures inside the page: small, as data URIs."""

from __future__ import annotations

import base64
import io

from PIL import Image

from piaa.report.data import BankPatch, GalleryImage, LabelCall
from piaa.report.explain import heat_map, overlay

PHOTO_SIDE, HEAT_SIDE, PATCH_SIDE = 320, 132, 88


def data_uri(image: Image.Image, side: int, quality: int = 78) -> str:
    """A WebP data URI, its longer side at most `side` pixels."""
    small = image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def heat_uri(entry: GalleryImage, call: LabelCall) -> str | None:
    """The image under one label's heat map, or None where there is no map."""
    if call.heat is None:
        return None
    small = entry.image.convert("RGB")
    small.thumbnail((HEAT_SIDE, HEAT_SIDE), Image.Resampling.LANCZOS)
    across, down = small.width / entry.image.width, small.height / entry.image.height
    region = entry.region
    if region is not None:
        region = (region[0] * across, region[1] * down, region[2] * across, region[3] * down)
    return data_uri(overlay(small, heat_map(call.heat, small.size, mode="bilinear"), region=region), HEAT_SIDE, 70)


def patch_context(patch: BankPatch, around: float = 1.0) -> tuple[str, tuple[float, float, float, float]]:
    """A square piece of the image around a patch, and where the patch lies in it.

    Args:
        patch: its box may reach beyond the image; what is beyond it is grey.
        around: context on each side, in sides of the patch.

    Returns:
        data URI; left, top, width, height of the patch in percent of the piece.
    """
    left, top, right, bottom = patch.box
    half = max(right - left, bottom - top) * (0.5 + around)
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    corner_x, corner_y = middle_x - half, middle_y - half
    piece = patch.image.convert("RGB").transform(
        (PATCH_SIDE, PATCH_SIDE),
        Image.Transform.EXTENT,
        (corner_x, corner_y, middle_x + half, middle_y + half),
        Image.Resampling.BICUBIC,
        fillcolor=(136, 136, 136),
    )
    percent = 50 / half
    place = (left - corner_x, top - corner_y, right - left, bottom - top)
    x, y, width, height = (round(value * percent, 2) for value in place)
    return data_uri(piece, PATCH_SIDE), (x, y, width, height)
