"""Rendering a scene to pixels: backgrounds, clutter, and glyph objects in several styles."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

from piaa.scenes.catalogue import COLOURS, jitter
from piaa.scenes.sample import Placed, Scene

_SPRITE = 128  # height of the cached glyph masks, pixels


def render(scene: Scene, size: tuple[int, int]) -> Image.Image:
    """The scene as an RGB image of `size` (width, height) pixels; the same scene and size give the same pixels."""
    rng = np.random.default_rng((*scene.key, 1))
    canvas = _background(scene.background, size, rng)
    _clutter(canvas, rng)
    for placed in scene.objects:
        _paste(canvas, placed, rng)
    return canvas


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    import matplotlib  # only for the place of its fonts

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), 160)


@cache
def _sprite(glyph: str) -> tuple[Image.Image, Image.Image]:
    """Ink and silhouette (holes filled) of a glyph as masks of height or width `_SPRITE`."""
    box = _font().getbbox(glyph, stroke_width=3)
    width, height = int(box[2] - box[0]) + 4, int(box[3] - box[1]) + 4
    ink = Image.new("L", (width, height))
    ImageDraw.Draw(ink).text((2 - box[0], 2 - box[1]), glyph, fill=255, font=_font(), stroke_width=3)
    silhouette = Image.fromarray((ndimage.binary_fill_holes(np.asarray(ink) > 96) * 255).astype(np.uint8))
    scale = _SPRITE / max(width, height)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    return ink.resize(shape, Image.Resampling.LANCZOS), silhouette.resize(shape, Image.Resampling.LANCZOS)


def _background(kind: str, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    width, height = size
    base = rng.uniform(40, 225, 3) * 0.5 + rng.uniform(40, 225) * 0.5
    other = np.clip(base + rng.normal(0, 32, 3), 0, 255)
    ys, xs = np.mgrid[0 : 1 : complex(height), 0 : 1 : complex(width)]
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (np.cos(angle) * xs + np.sin(angle) * ys + 1) / 2
    if kind == "plain":
        mix = np.zeros_like(ramp)
    elif kind == "gradient":
        mix = ramp
    elif kind == "noise":
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8))
        mix = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)) / 255.0
    elif kind == "checks":
        count = rng.integers(3, 9)
        mix = ((np.floor(xs * count) + np.floor(ys * count)) % 2) * 0.7
    elif kind == "bands":
        mix = (np.sin(ramp * rng.uniform(12, 50)) + 1) / 2 * 0.7
    else:  # blobs
        points = rng.uniform(0, 1, (5, 2))
        mix = np.clip(sum(np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / 0.02) for x, y in points), 0, 1)
    pixels = base + mix[..., None] * (other - base)
    pixels = pixels + rng.normal(0, rng.uniform(1, 7), (height, width, 1))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _clutter(canvas: Image.Image, rng: np.random.Generator) -> None:
    """Unnamed shapes: a few lines, ellipses and boxes that are no object of the catalogue."""
    draw = ImageDraw.Draw(canvas)
    width, height = canvas.size
    for _ in range(int(rng.integers(0, 5))):
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        x0, y0 = rng.uniform(0, width), rng.uniform(0, height)
        x1, y1 = x0 + rng.normal(0, width * 0.2), y0 + rng.normal(0, height * 0.2)
        box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        line = max(1, round(width / 90))
        shape = rng.integers(3)
        if shape == 0:
            draw.line((x0, y0, x1, y1), fill=colour, width=line)
        elif shape == 1:
            draw.arc(box, 0, float(rng.uniform(60, 360)), fill=colour, width=line)
        else:
            draw.rectangle(box, outline=colour, width=line)


def _paste(canvas: Image.Image, placed: Placed, rng: np.random.Generator) -> None:
    width, height = canvas.size
    ink, silhouette = _sprite(placed.glyph)
    stretch = placed.stretch**0.5
    w, h = ink.width * stretch, ink.height / stretch
    scale = placed.size / max(w, h)
    shape = (max(3, round(w * scale * width)), max(3, round(h * scale * height)))
    ink, silhouette = (
        mask.resize(shape, Image.Resampling.BILINEAR, reducing_gap=2.0).rotate(
            placed.rotation, Image.Resampling.BICUBIC, expand=True
        )
        for mask in (ink, silhouette)
    )
    at = (round(placed.x * width - ink.width / 2), round(placed.y * height - ink.height / 2))
    colour = np.array(jitter(COLOURS[placed.colour], rng), dtype=np.float32)
    pale = colour * 0.35 + 0.65 * (255 if colour.mean() < 150 else 70)
    _decorate(canvas, placed.style, silhouette, at, colour)
    canvas.paste(Image.new("RGB", ink.size, tuple(int(c) for c in pale)), at, silhouette)
    canvas.paste(_fill(placed.style, ink.size, colour, rng), at, ink)


def _decorate(
    canvas: Image.Image, style: str, silhouette: Image.Image, at: tuple[int, int], colour: np.ndarray
) -> None:
    """What lies behind an object: a halo around a sticker, a soft shadow."""
    if style == "sticker":
        pad = max(1, min(silhouette.size) // 12)
        grown = Image.new("L", (silhouette.width + 2 * pad, silhouette.height + 2 * pad))
        grown.paste(silhouette, (pad, pad))
        grown = grown.filter(ImageFilter.MaxFilter(2 * pad + 1 if pad < 4 else 7))
        halo = (250, 250, 250) if colour.mean() < 200 else (40, 40, 46)
        canvas.paste(Image.new("RGB", grown.size, halo), (at[0] - pad, at[1] - pad), grown)
    elif style == "shadow":
        shift = max(1, min(silhouette.size) // 12)
        soft = silhouette.point(lambda value: value * 0.55).filter(ImageFilter.BoxBlur(max(1, shift // 2)))
        canvas.paste(Image.new("RGB", soft.size, (15, 15, 20)), (at[0] + shift, at[1] + shift), soft)


def _fill(style: str, size: tuple[int, int], colour: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """The object's own surface, in its colour."""
    if style in ("solid", "sticker", "shadow"):
        return Image.new("RGB", size, tuple(int(c) for c in colour))
    ys, xs = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    unit = max(size) / 9
    if style == "gradient":
        mix = (xs * rng.uniform(-1, 1) + ys) / max(size) * 0.8
    elif style == "stripes":
        mix = (np.floor((xs + ys * rng.uniform(-1, 1)) / unit) % 2) * 0.42
    else:  # dots
        mix = ((xs % (2 * unit) - unit) ** 2 + (ys % (2 * unit) - unit) ** 2 < (unit * 0.6) ** 2) * 0.5
    towards = 40.0 if colour.mean() > 170 else 255.0
    pixels = colour + np.clip(mix, 0, 0.55)[..., None] * (towards - colour) * 0.8
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
