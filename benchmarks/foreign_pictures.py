"""Pictures unlike drawn scenes: noise, pages of text, screenshots, plain colours, photographs; and changed scenes.

Every maker gives the same pictures for the same seed.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.datasets import load_sample_images

SIDES = (160, 192, 224, 256)
Random = np.random.Generator
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def _size(random: Random) -> tuple[int, int]:
    return int(random.choice(SIDES)), int(random.choice(SIDES))


def _colour(random: Random, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    red, green, blue = random.integers(low, high, 3)
    return int(red), int(green), int(blue)


def noise(random: Random) -> Image.Image:
    """Uniform, grey or blurred noise."""
    width, height = _size(random)
    kind = random.integers(3)
    pixels = random.integers(0, 256, (height, width, 1 if kind == 1 else 3), dtype=np.uint8)
    picture = Image.fromarray(np.broadcast_to(pixels, (height, width, 3)).copy())
    return picture.filter(ImageFilter.GaussianBlur(float(random.uniform(1, 6)))) if kind == 2 else picture


def _words(random: Random, count: int) -> str:
    letters = list("etaoinshrdlucmfwypvbgk")
    return " ".join("".join(random.choice(letters, int(random.integers(2, 9)))) for _ in range(count))


def page(random: Random) -> Image.Image:
    """Lines of text in one or two columns, dark on light."""
    width, height = _size(random)
    picture = Image.new("RGB", (width, height), _colour(random, 225))
    draw, ink, size = ImageDraw.Draw(picture), _colour(random, 0, 70), int(random.integers(7, 15))
    font = ImageFont.truetype(str(FONT), size)
    columns = int(random.integers(1, 3))
    for column in range(columns):
        left = 8 + column * (width // columns)
        y = int(random.integers(5, 25))
        while y < height - size:
            if random.random() < 0.9:
                text = _words(random, 12)
                room = width // columns - 14
                while font.getlength(text) > room:
                    text = text[:-1]
                draw.text((left, y), text, fill=ink, font=font)
            y += round(1.4 * size)
    return picture


def screenshot(random: Random) -> Image.Image:
    """Windows with a title bar, a list at the side, buttons, fields and text."""
    width, height = _size(random)
    picture = Image.new("RGB", (width, height), _colour(random))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.truetype(str(FONT), int(random.integers(7, 11)))
    for _ in range(int(random.integers(1, 4))):
        left, top = int(random.integers(0, width // 3)), int(random.integers(0, height // 3))
        right, bottom = int(random.integers(2 * width // 3, width)), int(random.integers(2 * height // 3, height))
        paper, bar = _colour(random, 215), _colour(random, 30, 200)
        draw.rectangle((left, top, right, bottom), fill=paper, outline="gray")
        draw.rectangle((left, top, right, top + 12), fill=bar)
        draw.text((left + 4, top + 1), _words(random, 2), fill="white", font=font)
        side = left + (right - left) // 4
        draw.line((side, top + 12, side, bottom), fill="gray")
        for y in range(top + 16, bottom - 10, 13):
            draw.text((left + 3, y), _words(random, 1)[:5], fill="black", font=font)
            kind = random.integers(3)
            if kind == 0:
                draw.rectangle((side + 5, y, side + 45, y + 10), fill=_colour(random, 120), outline="gray")
            else:
                draw.text((side + 5, y), _words(random, 4)[: max(3, (right - side) // 7)], fill="black", font=font)
    return picture


def plain(random: Random) -> Image.Image:
    """One colour, or two that run into each other."""
    width, height = _size(random)
    first, second = np.array(_colour(random)), np.array(_colour(random))
    if random.random() < 0.5:
        second = first
    way = np.linspace(0, 1, width)[None, :, None] if random.random() < 0.5 else np.linspace(0, 1, height)[:, None, None]
    pixels = (1 - way) * first + way * second
    return Image.fromarray(np.broadcast_to(pixels, (height, width, 3)).round().astype(np.uint8))


def photograph_maker(folder: Path | None = None) -> Callable[[Random], Image.Image]:
    """Crops of the photographs in scikit-learn and matplotlib, and of those in a folder."""
    photos = [Image.fromarray(photo) for photo in load_sample_images().images]
    photos.append(Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").convert("RGB"))
    if folder:
        photos += [Image.open(path).convert("RGB") for path in sorted(folder.iterdir())]

    def photograph(random: Random) -> Image.Image:
        photo = photos[random.integers(len(photos))]
        share = float(random.uniform(0.3, 1.0))
        width, height = round(share * photo.width), round(share * photo.height)
        left, top = int(random.integers(photo.width - width + 1)), int(random.integers(photo.height - height + 1))
        crop = photo.crop((left, top, left + width, top + height))
        crop.thumbnail((320, 320))
        return crop

    return photograph


def makers(photographs: Path | None = None) -> dict[str, Callable[[Random], Image.Image]]:
    """Every kind by name."""
    return {
        "noise": noise,
        "pages of text": page,
        "screenshots": screenshot,
        "plain colours": plain,
        "photographs": photograph_maker(photographs),
    }


def pictures(kind: int, make: Callable[[Random], Image.Image], count: int, seed: int) -> list[Image.Image]:
    """`count` pictures of one kind."""
    return [make(np.random.default_rng((seed, kind, index))) for index in range(count)]


def _jpeg(picture: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=25)
    return Image.open(stream).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "scenes": lambda picture: picture,
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "JPEG of quality 25": _jpeg,
    "half as bright": lambda picture: picture.point(lambda value: value // 2),
    "a little blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(1.0)),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "the middle quarter": lambda picture: picture.crop(
        (picture.width // 4, picture.height // 4, 3 * picture.width // 4, 3 * picture.height // 4)
    ),
}
"""What may happen to an image that still is of the kind that was learnt from."""
