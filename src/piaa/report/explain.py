"""Pictures of one decision: heat maps p(c|patch) over the image, one captioned tile per label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from piaa.errors import InputError
from piaa.explanation import Box, Explanation
from piaa.report.fonts import font_for

Tile = tuple[str, float, bool, NDArray[np.float32]]
COLOUR_MAP = "plasma"

_TILE, _GAP, _MARGIN, _COLUMNS = 300, 20, 28, 4
_INK, _SOFT, _PAPER, _YES = (28, 30, 34), (96, 100, 108), (255, 255, 255), (0, 90, 156)


def explanation_sheet(explanation: Explanation, side: int = _TILE) -> Image.Image:
    """The image and one tile per label; all tiles share one scale, so that they can be compared."""
    small, region = _shrunk(explanation.image, explanation.region, side)
    scale = explanation.peak or 1.0
    heats = [heat_map(each.numpy() / scale, small.size, region) for each in explanation.maps]
    tiles = list(zip(explanation.labels, explanation.scores, explanation.decided, heats, strict=True))
    note = f"brightest: p(label | patch) = {explanation.peak:.2f}" if tiles else "no label"
    return explain_sheet(small, tiles, region=region, note=note, side=side)


def heat_map(
    patch_scores: Any, size: tuple[int, int], region: Box | None = None, *, mode: str = "bicubic"
) -> NDArray[np.float32]:
    """Patch scores laid over the image they came from.

    Args:
        patch_scores: rows x columns, 0 to 1, tensor or array.
        size: (width, height) of the image in pixels.
        region: what the patches cover: left, top, right, bottom in pixels of the image, beyond it where it
            was padded; None is the whole image.
        mode: `bicubic`, `bilinear` or `nearest`.

    Returns:
        height x width, float32, never outside the range of the patch scores; 0 where no patch looked.

    Raises:
        InputError: for scores that are no finite rows x columns, an empty size or an empty region.
    """
    scores = _as_array(patch_scores)
    width, height = size
    left, top, right, bottom = region or (0.0, 0.0, float(width), float(height))
    if scores.ndim != 2 or not scores.size or not np.isfinite(scores).all():
        raise InputError(f"patch scores must be finite, rows x columns; these have the shape {scores.shape}")
    if min(width, height) < 1 or right <= left or bottom <= top:
        raise InputError(f"no heat map of size {width} x {height} over the region {region}")
    across = (torch.arange(width) + 0.5 - left) / (right - left) * 2 - 1
    down = (torch.arange(height) + 0.5 - top) / (bottom - top) * 2 - 1
    grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)[None]
    sampled = torch.nn.functional.grid_sample(
        torch.from_numpy(scores)[None, None], grid, mode=mode, padding_mode="border", align_corners=False
    )[0, 0].clamp(float(scores.min()), float(scores.max()))
    seen = (grid[0].abs() <= 1).all(dim=-1)
    heat: NDArray[np.float32] = torch.where(seen, sampled, 0.0).numpy()
    return heat


def overlay(
    image: Image.Image, heat: NDArray[np.float32], *, alpha: float = 0.85, region: Box | None = None
) -> Image.Image:
    """The image under its heat map; cold parts show the photo, hot ones a perceptually uniform colour map.

    Args:
        image: any mode.
        heat: height x width of the image, 0 to 1 (clipped).
        alpha: opacity of the hottest point, 0 to 1.
        region: as in `heat_map`; what lies outside it, which the model never saw, is drawn pale and grey.

    Raises:
        InputError: for a heat map of another size, or alpha outside [0, 1].
    """
    _check_fit(image, heat)
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha {alpha} is not between 0 and 1")
    from matplotlib import colormaps

    photo = np.asarray(image.convert("RGB")).astype(np.float32) / np.float32(255)
    if region is not None:
        photo = _veiled(photo, region)
    warm = np.clip(np.nan_to_num(heat), 0, 1)
    colour = colormaps[COLOUR_MAP](warm)[..., :3].astype(np.float32)
    opacity = (alpha * warm)[..., None]
    mixed = photo * (1 - opacity) + colour * opacity
    return Image.fromarray((mixed * 255 + 0.5).astype(np.uint8))


def explain_sheet(
    image: Image.Image,
    tiles: Sequence[Tile],
    *,
    region: Box | None = None,
    note: str = "",
    side: int = _TILE,
) -> Image.Image:
    """The image and one captioned tile per label.

    Args:
        image: any mode and size; drawn with its longer side `side` pixels.
        tiles: (label, calibrated score 0 to 1, whether the label was given, heat of the image's height x width).
        region: as in `overlay`.
        note: a line under the image.
        side: pixels of a tile's longer side.

    Raises:
        InputError: as `overlay`.
    """
    for _, _, _, heat in tiles:
        _check_fit(image, heat)
    small, shown = _shrunk(image, region or (0.0, 0.0, float(image.width), float(image.height)), side)
    width, height = small.size
    columns = min(_COLUMNS, len(tiles) + 1)
    rows = math.ceil((len(tiles) + 1) / columns)
    cell_width, cell_height = max(width, side // 2), height + 50
    canvas = Image.new(
        "RGB",
        (
            2 * _MARGIN + columns * cell_width + (columns - 1) * _GAP,
            2 * _MARGIN + rows * cell_height + (rows - 1) * _GAP,
        ),
        _PAPER,
    )
    veil = shown if region else None
    for index in range(len(tiles) + 1):
        row, column = divmod(index, columns)
        at = (_MARGIN + column * (cell_width + _GAP), _MARGIN + row * (cell_height + _GAP))
        if index == 0:
            canvas.paste(small, at)
            _caption(canvas, (at[0], at[1] + height), cell_width, ("image", note), given=False)
            continue
        label, score, given, heat = tiles[index - 1]
        drawn = Image.fromarray(heat.astype(np.float32))
        fitted = np.asarray(drawn.resize(small.size, Image.Resampling.BILINEAR))
        canvas.paste(overlay(small, fitted, region=veil), at)
        text = f"score {score:.2f}" + ("" if given else ", below its threshold")
        title = f"✓ {label}" if given else label
        _caption(canvas, (at[0], at[1] + height), cell_width, (title, text), given=given)
    return canvas


def _caption(canvas: Image.Image, at: tuple[int, int], width: int, lines: tuple[str, str], *, given: bool) -> None:
    draw = ImageDraw.Draw(canvas)
    for text, bold, size, colour, drop in (
        (lines[0], True, 16, _YES if given else _INK, 7),
        (lines[1], False, 12, _SOFT, 30),
    ):
        font, line = font_for(_one_line(text), size, bold)
        draw.text((at[0], at[1] + drop), _fitted(line, font, width), font=font, fill=colour)


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[:500]).split())


def _fitted(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """A line no wider than `width` pixels; an ellipsis where it was cut."""
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"


def _shrunk(image: Image.Image, region: Box, side: int) -> tuple[Image.Image, Box]:
    """The image with its longer side `side` pixels, and the region in the new pixels."""
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    across, down = size[0] / image.width, size[1] / image.height
    return small, (region[0] * across, region[1] * down, region[2] * across, region[3] * down)


def _check_fit(image: Image.Image, heat: NDArray[np.float32]) -> None:
    if heat.shape != (image.height, image.width):
        raise InputError(
            f"a heat map of shape {heat.shape} does not fit an image of {image.height} rows x {image.width} columns"
        )


def _veiled(photo: NDArray[np.float32], region: Box) -> NDArray[np.float32]:
    """Greyed and paled outside the region; pixels are in when their centres are."""
    height, width = photo.shape[:2]
    across, down = np.arange(width) + 0.5, np.arange(height) + 0.5
    rows, columns = (down >= region[1]) & (down <= region[3]), (across >= region[0]) & (across <= region[2])
    inside = rows[:, None] & columns
    pale = 0.35 * photo.mean(axis=-1, keepdims=True) + 0.65
    veiled: NDArray[np.float32] = np.where(inside[..., None], photo, pale).astype(np.float32)
    return veiled


def _as_array(values: Any) -> NDArray[np.float32]:
    if isinstance(values, torch.Tensor):
        values = values.detach().float().cpu().numpy()
    return np.ascontiguousarray(values, dtype=np.float32)
