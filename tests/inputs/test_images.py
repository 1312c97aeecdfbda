"""Every kind of file the issue names, by pixel values; every bad one, by the reason it gets."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from piaa.errors import ImageError
from piaa.inputs.images import open_image, to_image
from piaa.scenes import render, sample_scene
from piaa.vision.preprocess import build_preprocess

RED_BLUE = np.zeros((8, 12, 3), np.uint8)
RED_BLUE[:, :6] = (200, 30, 20)
RED_BLUE[:, 6:] = (10, 40, 220)


def encode(image: Image.Image, fmt: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, fmt, **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_that_claims(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100))


@pytest.mark.parametrize(
    ("fmt", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("GIF", {}, 0),
        ("JPEG", {"quality": 98, "subsampling": 0}, 12),
    ],
)
def test_formats_keep_their_pixels(tmp_path: Path, fmt: str, options: dict, tolerance: int) -> None:
    path = tmp_path / "x.any"
    path.write_bytes(encode(Image.fromarray(RED_BLUE), fmt, **options))
    image = open_image(path)
    assert image.mode == "RGB" and image.size == (12, 8)
    # away from the edge, where JPEG rings
    inner = np.r_[0:4, 8:12]
    assert np.abs(np.asarray(image).astype(int) - RED_BLUE)[:, inner].max() <= tolerance


@pytest.mark.parametrize("fmt", ["GIF", "WEBP"])
def test_animation_gives_its_first_frame(fmt: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    data = encode(frames[0], fmt, save_all=True, append_images=frames[1:], lossless=True)
    assert open_image(data).getpixel((8, 8)) == (255, 0, 0)


def test_cmyk_jpeg() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, full magenta and yellow: red
    red, green, blue = open_image(encode(image, "JPEG", quality=95)).getpixel((8, 8))
    assert red > 200 and green < 40 and blue < 40


@pytest.mark.parametrize("fmt", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(fmt: str) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    pixels = np.asarray(open_image(encode(Image.fromarray(ramp), fmt)))
    assert np.abs(pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 1
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_dark_16_bit_grey_stays_dark() -> None:
    dark = np.full((4, 4), 200, np.uint16)  # under 256: not to be taken for 8 bits
    assert np.asarray(open_image(encode(Image.fromarray(dark), "PNG"))).max() <= 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 255.0]], np.float32), [0, 100, 255]),
        (np.array([[-10.0, 0.0, 990.0]], np.float32), [0, 3, 255]),
        (np.array([[np.nan, 0.5, 1.0]], np.float32), [128, 128, 255]),
        (np.array([[0, 32768, 65535]], np.int32), [0, 128, 255]),
        (np.array([[0, 7, 255]], np.int32), [0, 7, 255]),
        (np.array([[5.0, 5.0, 5.0]], np.float32), [5, 5, 5]),
    ],
)
def test_deep_tiff_by_its_range(values: np.ndarray, expected: list[int]) -> None:
    assert np.asarray(open_image(encode(Image.fromarray(values), "TIFF")))[0, :, 1].tolist() == expected


def test_transparency_is_composited_on_white() -> None:
    rgba = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    rgba.putpixel((1, 1), (200, 0, 0, 255))
    rgba.putpixel((2, 2), (0, 0, 0, 128))
    for data in (encode(rgba, "PNG"), encode(rgba, "WEBP", lossless=True, exact=True)):
        image = open_image(data)
        assert image.getpixel((0, 0)) == (255, 255, 255)
        assert image.getpixel((1, 1)) == (200, 0, 0)
        assert image.getpixel((2, 2)) == (127, 127, 127)


def test_transparent_palette_and_key_colour() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 255, 255, 0, 0])
    palette.putpixel((0, 0), 0)
    image = open_image(encode(palette, "PNG", transparency=0))
    assert image.getpixel((0, 0)) == (255, 255, 255) and image.getpixel((3, 3)) == (255, 0, 0)
    keyed = Image.new("RGB", (2, 2), (9, 9, 9))
    assert open_image(encode(keyed, "PNG", transparency=(9, 9, 9))).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [("L", 77, 77), ("LA", (77, 255), 77), ("1", 1, 255), ("1", 0, 0)],
)
def test_grey_modes(mode: str, colour: object, expected: int) -> None:
    assert open_image(encode(Image.new(mode, (5, 5), colour), "PNG")).getpixel((2, 2)) == (expected,) * 3


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, (0, 0)), (2, (11, 0)), (3, (11, 7)), (4, (0, 7)), (6, (7, 0)), (8, (0, 11))],
)
@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "JPEG"])
def test_exif_rotation(orientation: int, corner: tuple[int, int], fmt: str) -> None:
    image = Image.new("RGB", (12, 8), "black")
    image.paste("white", (0, 0, 2, 2))  # top left as stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = open_image(encode(image, fmt, exif=exif))
    assert upright.size == ((12, 8) if orientation < 5 else (8, 12))
    assert min(upright.getpixel(corner)) > 180


def test_16_bit_with_rotation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    values = np.full((4, 9), 65535, np.uint16)
    upright = open_image(encode(Image.fromarray(values), "PNG", exif=exif))
    assert upright.size == (4, 9) and upright.getpixel((0, 0)) == (255, 255, 255)


def test_broken_exif_does_not_cost_the_picture() -> None:
    good = encode(Image.fromarray(RED_BLUE), "PNG")
    exif = chunk(b"eXIf", b"II*\0\xff\xff\xff\x7fgarbage")
    data = good[:33] + exif + good[33:]
    assert (np.asarray(open_image(data)) == RED_BLUE).all()


def bad_file(kind: str, folder: Path) -> Path:
    path = folder / "x.jpg"
    photo = encode(Image.effect_noise((64, 64), 80).convert("RGB"), "JPEG")
    if kind == "folder":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to(folder / "nowhere.jpg")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind != "missing":
        content = {
            "empty": b"",
            "text": b"this is a shopping list\nmilk\n",
            "binary": bytes(range(256)) * 4,
            "truncated": photo[: len(photo) // 2],
            "header only": photo[:25],
            "bomb": png_that_claims(60_000, 60_000),
            "warned bomb": png_that_claims(10_000, 10_000),
            "false size": png_that_claims(64, 64),
            "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        }
        path.write_bytes(content[kind])
    return path


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("empty", "empty file"),
        ("text", "looks like a text file"),
        ("svg", "looks like a text file"),
        ("binary", "not a JPEG, PNG, WebP, GIF, BMP or TIFF image"),
        ("truncated", "cut short"),
        ("header only", ""),
        ("false size", "cut short"),
        ("bomb", "decompression bomb"),
        ("warned bomb", "decompression bomb"),
        ("folder", "a folder"),
        ("dangling", "link to a file that does not exist"),
        ("pipe", "not a regular file"),
        ("missing", "no such file"),
    ],
)
def test_bad_files_say_path_and_reason(tmp_path: Path, kind: str, reason: str) -> None:
    path = bad_file(kind, tmp_path)
    with pytest.raises(ImageError) as caught:
        open_image(path)
    assert caught.value.path == str(path) and reason in caught.value.reason
    assert str(path) not in caught.value.reason


def test_max_pixels_counts_before_decoding() -> None:
    data = encode(Image.new("RGB", (100, 50)), "PNG")
    assert open_image(data, max_pixels=5000).size == (100, 50)
    with pytest.raises(ImageError, match="100 x 50 pixels"):
        open_image(data, max_pixels=4999)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(encode(Image.fromarray(RED_BLUE), "PNG"))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(ImageError, match="no permission"):
        open_image(path)


def test_input_image_is_left_as_it_was() -> None:
    image = Image.new("RGBA", (3, 3), (1, 2, 3, 0))
    assert open_image(image).mode == "RGB"
    assert image.mode == "RGBA" and image.getpixel((0, 0)) == (1, 2, 3, 0)


@pytest.mark.filterwarnings("ignore")  # Pillow's own, about the damage
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]), st.data())
def test_damage_never_raises_anything_else(fmt: str, data: st.DataObject) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)  # seeded: hypothesis replays
    whole = bytearray(encode(Image.fromarray(noise), fmt))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    try:
        image = open_image(bytes(whole[:cut]), max_pixels=4_000_000)
    except ImageError:
        return
    assert image.mode == "RGB"


def test_arrays_and_tensors_agree() -> None:
    as_float = RED_BLUE / 255.0
    chw = torch.from_numpy(RED_BLUE).permute(2, 0, 1)
    for value in (
        RED_BLUE,
        as_float,
        as_float.astype(np.float32),
        RED_BLUE.astype(np.int64),
        RED_BLUE.astype(np.uint16) * 257,
        chw,
        chw / 255.0,
        Image.fromarray(RED_BLUE),
        encode(Image.fromarray(RED_BLUE), "PNG"),
    ):
        assert (np.asarray(to_image(value)) == RED_BLUE).all()
    assert np.abs(np.asarray(to_image((chw / 255.0).bfloat16())).astype(int) - RED_BLUE).max() <= 1


def test_grey_and_alpha_arrays() -> None:
    grey = np.array([[0, 255]], np.uint8)
    for value in (grey, grey[:, :, None], grey > 0, torch.from_numpy(grey), torch.from_numpy(grey)[None]):
        assert np.asarray(to_image(value)).tolist() == [[[0] * 3, [255] * 3]]
    assert to_image(np.zeros((2, 2, 4), np.uint8)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((3, 8, 8), np.uint8),  # channels first, in numpy: ambiguous only by guess
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(7),
        np.full((4, 4, 3), 2.6),
        np.full((4, 4, 3), np.nan),
        np.full((4, 4, 3), 300),
        np.full((4, 4, 3), -1),
        np.full((4, 4, 3), 1j),
        np.array([["a"]]),
        torch.randn(3, 8, 8) * 3,
        torch.zeros(8, 8, 3),
        42,
        None,
    ],
)
def test_what_is_no_image(value: object) -> None:
    with pytest.raises(ImageError, match="<image 7>"):
        to_image(value, name="<image 7>")


def photograph(width: int, height: int) -> Image.Image:
    """A drawn scene with the grain of a camera, so that there is something to lose at every scale."""
    picture = render(sample_scene(3, "bench", 1), (width, height))
    grain = np.random.default_rng(0).normal(0, 15, (height, width, 3))
    return Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 75}])
@pytest.mark.parametrize("resize", ["shortest", "squash", "pad"])
def test_a_jpeg_decoded_small_enters_the_model_as_the_whole_one(options: dict, resize: str) -> None:
    data = encode(photograph(1200, 900), "JPEG", **options)
    preprocess = build_preprocess(224, resize)
    small = open_image(data, ample=preprocess.ample)
    assert small.size == (600, 450)
    std = torch.tensor(preprocess.std)[:, None, None]
    grey = (255 * std * (preprocess(small) - preprocess(open_image(data)))).abs()
    assert 0 < grey.mean() < 1 and grey.max() < 12


def test_a_side_stays_ample_and_only_jpeg_shrinks() -> None:
    picture = Image.new("RGB", (900, 450), "red")
    jpeg = encode(picture, "JPEG")
    assert [open_image(jpeg, ample=ample).size for ample in (0, 451, 450, 226, 225, 100, 10)] == [
        (900, 450), (900, 450), (900, 450), (900, 450), (450, 225), (225, 113), (113, 57),
    ]  # fmt: skip
    assert open_image(encode(picture, "PNG"), ample=10).size == (900, 450)
    opened = Image.open(io.BytesIO(jpeg))
    assert open_image(opened, ample=10).size == opened.size == (900, 450)  # the caller's own image


def test_a_small_jpeg_is_upright_and_rgb_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned = open_image(encode(Image.new("RGB", (900, 600), "red"), "JPEG", exif=exif), ample=100)
    assert turned.size == (150, 225)
    cmyk = open_image(encode(Image.new("CMYK", (900, 600), (0, 255, 255, 0)), "JPEG"), ample=100)
    assert cmyk.size == (225, 150) and cmyk.mode == "RGB"
    red, green, _ = cmyk.getpixel((8, 8))
    assert red > 200 and green < 40
