"""Image files of every format that is read, some with EXIF, transparency, several frames, 16 bits or CMYK."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from piaa.exchange.common import image_size
from piaa.inputs.images import open_image

from ..harness import Seed, Target

RGB = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")


def seeds(folder: Path) -> list[Seed]:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "words"
    found = [_saved(picture, name) for name in RGB]
    found += [_saved(picture, "JPEG", exif=exif), _saved(picture, "JPEG", progressive=True)]
    found += [_saved(picture.convert("CMYK"), name) for name in ("JPEG", "TIFF")]
    found += [_saved(picture.convert(mode), "PNG") for mode in ("RGBA", "P", "L", "LA", "1")]
    found += [
        _saved(Image.fromarray(rng.integers(0, 65536, (9, 7), dtype=np.uint16)), name) for name in ("PNG", "TIFF")
    ]
    found += [_saved(Image.fromarray(rng.normal(size=(9, 7)).astype(np.float32)), "TIFF")]
    found += [_saved(picture, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits")]
    frames = [picture.rotate(angle) for angle in (90, 180)]
    found += [_saved(picture, name, save_all=True, append_images=frames) for name in ("GIF", "WEBP", "TIFF", "PNG")]
    return [Seed(data) for data in found]


def read(data: bytes, suffix: str, folder: Path) -> None:
    path = folder / "picture"
    path.write_bytes(data)
    try:
        image_size(path)
    finally:
        for ample in (0, 16):
            picture = open_image(data, max_pixels=4_000_000, ample=ample)
            assert picture.mode == "RGB"


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


TARGET = Target("images", seeds, read, memory=400, share=3)
