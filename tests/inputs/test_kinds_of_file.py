"""Each kind of image file by its pixels, colours by their definition, large pictures by what they cost."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made_files import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    as_srgb,
    cmyk_profile,
    dng,
    grey_profile,
    lab_as_srgb,
    large_jpeg,
    rgb_profile,
    ultra_hdr_jpeg,
)
from PIL import Image

from piaa.errors import ImageError
from piaa.inputs import chatter
from piaa.inputs.formats import FORMATS, SUFFIXES, looks_like_image, skipped_text
from piaa.inputs.images import open_image
from piaa.inputs.items import Item, list_folder
from piaa.inputs.jpeg_xl import size_of

RED_BLUE = np.zeros((32, 48, 3), np.uint8)
RED_BLUE[:, :24] = (200, 30, 20)
RED_BLUE[:, 24:] = (10, 40, 220)
INNER = np.r_[4:20, 28:44]  # away from the edge, where lossy formats ring


def encode(image: Image.Image, fmt: str, **options: object) -> bytes:
    if fmt == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    if fmt == "JXL":
        pytest.importorskip("pillow_jxl")
    stream = io.BytesIO()
    image.save(stream, fmt, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("fmt", "suffix", "options", "tolerance"),
    [
        ("HEIF", "heic", {"quality": 95}, 12),
        ("AVIF", "avif", {"quality": 95}, 12),
        ("JPEG2000", "jp2", {}, 0),
        ("JPEG2000", "j2k", {"no_jp2": True}, 0),
        ("JXL", "jxl", {"lossless": True}, 0),
        ("PPM", "ppm", {}, 0),
        ("TGA", "tga", {}, 0),
        ("TGA", "tga", {"compression": "tga_rle"}, 0),
        ("ICO", "ico", {"sizes": [(48, 32)]}, 0),
        ("PNG", "apng", {}, 0),
        ("TIFF", "tif", {"compression": "jpeg", "quality": 98}, 12),
    ],
)
def test_formats_keep_their_colours(tmp_path: Path, fmt: str, suffix: str, options: dict, tolerance: int) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(encode(Image.fromarray(RED_BLUE), fmt, **options))
    image = open_image(path)
    assert image.mode == "RGB" and image.size == (48, 32)
    assert np.abs(np.asarray(image).astype(int) - RED_BLUE)[:, INNER].max() <= tolerance
    assert list_folder(tmp_path).paths == [path]
    if fmt != "TGA":  # nothing at its beginning tells what it is
        other = path.rename(tmp_path / "without_ending")
        assert list_folder(tmp_path).paths == [other]
        assert (np.asarray(open_image(other)) == np.asarray(image)).all()


@pytest.mark.parametrize(
    ("mode", "suffix", "colour", "expected"),
    [("1", "pbm", 0, 0), ("L", "pgm", 77, 77), ("I;16", "pgm", 256 * 77, 77), ("F", "pfm", 0.5, 128)],
)
def test_grey_pnm(tmp_path: Path, mode: str, suffix: str, colour: float, expected: int) -> None:
    Image.new(mode, (5, 4), colour).save(tmp_path / f"x.{suffix}", "PPM")
    assert open_image(tmp_path / f"x.{suffix}").getpixel((2, 2)) == (expected,) * 3


def test_heic_and_avif_are_upright() -> None:
    image = Image.new("RGB", (48, 32), "black")
    image.paste("white", (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6
    for fmt in ("HEIF", "AVIF"):
        data = encode(image, fmt, exif=exif, quality=95)
        opened = open_image(data)
        turned = (
            b"irot" in data
        )  # what turns a HEIF is this box, not its EXIF block; some encoders write the block alone
        assert opened.size == ((32, 48) if turned else (48, 32)) and (turned or fmt == "HEIF")
        corner, other = ((28, 3), (3, 3)) if turned else ((3, 3), (44, 3))
        assert min(opened.getpixel(corner)) > 200 and max(opened.getpixel(other)) < 50


def test_content_without_ending() -> None:
    texts = (
        b"Python is a language",
        b"P1 first\n",
        b"BMW and others drive by the house\n",
        b"II. Chapter\n",
        b"\0" * 64,
        b"x",
    )
    assert not any(looks_like_image(text) for text in texts)
    assert looks_like_image(b"P6 3 2 255\n") and looks_like_image(b"P5\n# made by hand\n3 2\n")
    assert {
        f".{name}" for name in ["heic", "avif", "jp2", "tga", "ico", "ppm", "jpg", "png", "webp", "gif", "bmp", "tif"]
    } <= SUFFIXES


def test_camera_raw(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    path = tmp_path / "x.dng"
    path.write_bytes(dng(64, 48, 0.5, 0.25, 0.1))
    image = open_image(path)
    assert image.size == (64, 48)
    red, green, blue = (value / 255 for value in image.getpixel((32, 24)))
    assert red > green > blue
    grey = open_image(dng(64, 48, 0.3, 0.3, 0.3), name="x.dng").getpixel((32, 24))
    assert max(grey) - min(grey) <= 4
    assert list_folder(tmp_path).paths == [path]
    assert open_image(path, ample=24).size == (32, 24) and open_image(path, ample=25).size == (64, 48)
    assert open_image(path.read_bytes(), name="a.dng").size == (64, 48)
    with pytest.raises(ImageError, match="64 x 48 pixels"):
        open_image(path, max_pixels=3000)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ImageError, match=r"x\.dng"):
        open_image(path)


def test_what_is_not_installed_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"rawpy", "pillow_jxl", "av"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in missing else object())
    monkeypatch.setitem(sys.modules, "rawpy", None)
    path = tmp_path / "x.jxl"
    path.write_bytes(b"\xff\x0a" + bytes(50))
    with pytest.raises(ImageError, match=r"JPEG XL is not read yet: pip install pillow-jxl-plugin"):
        open_image(path)
    with pytest.raises(ImageError, match=r"pip install rawpy"):
        open_image(dng(64, 48, 0.5, 0.5, 0.5), name="x.dng")
    counts = Counter({".txt": 5000, ".cr3": 2000, ".jxl": 3, "": 2, ".mp4": 1, ".tar": 1})
    assert skipped_text(counts) == [
        "skipped 2,000 .cr3: pip install rawpy",
        "skipped 3 .jxl: pip install pillow-jxl-plugin",
        "skipped 1 .mp4: videos are read with --frames N, after pip install av",
        "skipped 1 .tar: a tar is read where it is named itself, such as 'shards/*.tar'",
        "skipped 5,002 files of other kinds: 5,000 .txt, 2 without an ending",
    ]


def test_many_endings_are_summed() -> None:
    lines = skipped_text(Counter({f".{number:03d}": number for number in range(1, 101)}))
    assert len(lines) == 1 and lines[0].startswith("skipped 5,050 files of other kinds: 100 .100, 99 .099, ")
    assert lines[0].endswith(" and 88 endings more")


# colours


def coloured(
    profile: bytes, colour: tuple[int, ...], fmt: str = "PNG", mode: str = "RGB", **options: object
) -> np.ndarray:
    image = Image.new(mode, (32, 32), colour if len(colour) > 1 else colour[0])
    return np.array(open_image(encode(image, fmt, icc_profile=profile, **options)).getpixel((16, 16)))


@pytest.mark.parametrize("colour", [(234, 51, 35), (255, 0, 0), (200, 100, 50), (30, 180, 90), (128, 128, 128)])
@pytest.mark.parametrize(("colorants", "gamma"), [(DISPLAY_P3, None), (ADOBE_RGB, 2.19921875)])
def test_profiles_of_colours(colorants: tuple, gamma: float | None, colour: tuple[int, int, int]) -> None:
    profile, expected = rgb_profile(colorants, gamma), as_srgb(colour, colorants, gamma)
    assert np.abs(coloured(profile, colour) - expected).max() <= 2
    assert np.abs(coloured(profile, (*colour, 255), mode="RGBA") - expected).max() <= 2
    assert np.abs(coloured(profile, colour, "JPEG", quality=100, subsampling=0) - expected).max() <= 5
    assert np.abs(coloured(profile, colour, "HEIF", quality=100, chroma=444) - expected).max() <= 6
    assert np.abs(coloured(profile, colour, "AVIF", quality=100, subsampling="4:4:4") - expected).max() <= 6


def test_known_values_of_display_p3() -> None:
    assert np.abs(coloured(rgb_profile(DISPLAY_P3, None), (234, 51, 35)) - (255, 0, 0)).max() <= 3  # the red of sRGB
    assert np.abs(coloured(rgb_profile(DISPLAY_P3, None), (117, 251, 76)) - (0, 255, 0)).max() <= 3  # its green


def test_a_profile_of_srgb_changes_no_bit() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    profile = rgb_profile(SRGB, None)
    for given in (profile, profile[:200], b"no profile", grey_profile(1.8)):
        data = encode(Image.fromarray(pixels), "PNG", icc_profile=given)
        assert (np.asarray(open_image(data)) == pixels).all()
    grey = np.arange(256, dtype=np.uint8)[None].repeat(2, 0)
    assert (np.asarray(open_image(encode(Image.fromarray(grey), "PNG", icc_profile=profile)))[..., 0] == grey).all()


def test_grey_by_its_profile() -> None:
    linear = coloured(grey_profile(1.0), (55,), mode="L")
    assert np.abs(linear - 128).max() <= 2  # 55/255 of the light of white is the middle of sRGB
    assert np.abs(coloured(grey_profile(1.0), (55, 255), mode="LA") - 128).max() <= 2


def test_cmyk_by_its_profile() -> None:
    inks = {(0, 0, 0, 0): (100.0, 0.0, 0.0), (1, 0, 0, 0): (60.0, -20.0, -30.0), (0, 1, 0, 0): (55.0, 45.0, -5.0)}
    profile = cmyk_profile(inks)
    for ink, colour in (((1, 0, 0, 0), (255, 0, 0, 0)), ((0, 1, 0, 0), (0, 255, 0, 0))):
        expected = lab_as_srgb(inks[ink])
        assert np.abs(coloured(profile, colour, "TIFF", mode="CMYK") - expected).max() <= 6
        assert np.abs(coloured(profile, colour, "JPEG", mode="CMYK", quality=100) - expected).max() <= 8
    assert coloured(profile, (0, 0, 0, 0), "TIFF", mode="CMYK").min() >= 253


def test_lab_tiff() -> None:
    image = Image.merge("LAB", [Image.new("L", (4, 4), value) for value in (153, 128, 128)])  # L* 60, a* b* 0
    assert np.abs(np.array(open_image(encode(image, "TIFF")).getpixel((1, 1))) - lab_as_srgb((60, 0, 0))).max() <= 3


# large pictures


def test_a_jpeg_of_200_megapixels() -> None:
    data = large_jpeg(16320, 12240)
    image = open_image(data, ample=448)
    assert image.size == (2040, 1530) and image.getextrema() == ((128, 128),) * 3
    with pytest.raises(ImageError, match="16320 x 12240 pixels of a progressive JPEG"):
        open_image(large_jpeg(16320, 12240, progressive=True), ample=448)


def test_a_jpeg_comes_at_the_largest_scale_that_is_admitted() -> None:
    data = large_jpeg(640, 480)
    sizes = {pixels: open_image(data, max_pixels=pixels).size for pixels in (640 * 480, 640 * 480 - 1, 19200, 4800)}
    assert list(sizes.values()) == [(640, 480), (320, 240), (160, 120), (80, 60)]
    with pytest.raises(ImageError, match="too large"):
        open_image(data, max_pixels=4799)
    assert open_image(data, max_pixels=640 * 480 - 1, ample=100).size == (160, 120)


def test_a_large_jpeg_takes_little_memory() -> None:
    code = (
        "import sys; from resource import RUSAGE_SELF, getrusage; sys.path.insert(0, sys.argv[1]);"
        "from made_files import large_jpeg; from piaa.inputs.images import open_image; data = large_jpeg(16320, 12240);"
        "before = getrusage(RUSAGE_SELF).ru_maxrss; open_image(data, ample=448);"
        "print(getrusage(RUSAGE_SELF).ru_maxrss - before)"
    )
    here = os.path.dirname(__file__)
    grown = subprocess.run([sys.executable, "-c", code, here], capture_output=True, text=True, check=True).stdout
    assert int(grown) < 80_000  # KiB; its pixels at full size are 585,000


def test_ultra_hdr_gives_its_picture() -> None:
    data = ultra_hdr_jpeg(Image.fromarray(RED_BLUE).resize((480, 320)))
    with Image.open(io.BytesIO(data)) as opened:
        assert opened._getmp()[45057] == 2  # type: ignore[attr-defined]  # there is a second picture behind it
    assert open_image(data).size == (480, 320) and open_image(data, ample=100).size == (240, 160)
    assert np.abs(np.array(open_image(data).getpixel((60, 100))) - (200, 30, 20)).max() <= 4


def test_max_pixels_of_an_item_and_beyond_pillows_own_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.new("L", (100, 50)), "PNG")
    with pytest.raises(ImageError, match="more than 4,999"):
        Item("x", data, max_pixels=4999).load()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Item("x", data, max_pixels=5000).load().size == (100, 50)


@pytest.mark.parametrize("size", [(8, 8), (256, 256), (264, 8), (300, 200), (640, 360), (7, 511), (520, 9000), (1, 1)])
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = pytest.importorskip("pillow_jxl")
    for options in ({}, {"use_container": True}, {"exif": b"Exif\0\0" + bytes(900)}):
        data = encode(Image.new("L", size), "JXL", **options)
        assert size_of(io.BytesIO(data)) == size
        assert open_image(data).size == size
    monkeypatch.setattr(plugin.JpegXLImagePlugin, "Decoder", None)
    with pytest.raises(ImageError, match=f"too large: {size[0]} x {size[1]} pixels"):
        open_image(data, max_pixels=size[0] * size[1] - 1)


# what decoders say


def test_chatter_goes_to_the_log_once_a_kind(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = encode(Image.fromarray(noise), "TIFF", compression="tiff_lzw")
    chatter._seen.clear()
    failures = 0
    with caplog.at_level(logging.INFO, "piaa.inputs"), warnings.catch_warnings():
        warnings.simplefilter("always")
        for position in range(200, 1800, 50):
            damaged = bytearray(whole)
            damaged[position : position + 4] = b"\xff" * 4
            try:
                Item("x.tif", bytes(damaged)).load()
            except ImageError:
                failures += 1
    said = [record.getMessage() for record in caplog.records if record.name == "piaa.inputs.decoders"]
    assert failures > 10 and 1 <= len(said) <= 5 and len(set(said)) == len(said)
    assert capfd.readouterr().err == ""


def test_what_libraw_writes_goes_to_the_log_and_nothing_else_is_lost(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("rawpy")
    chatter._seen.clear()
    whole = dng(64, 48, 0.5, 0.5, 0.5)
    with caplog.at_level(logging.INFO, "piaa.inputs"):
        for size in range(len(whole) - 3000, len(whole), 500):
            with pytest.raises(ImageError, match="damaged"):
                Item("x.dng", whole[:size]).load()
    assert capfd.readouterr().err == ""
    assert sum("Unexpected end of file" in record.getMessage() for record in caplog.records) == 1
    with chatter.overheard(re.compile(rb"^theirs")):
        os.write(2, b"theirs 1\nours\n")
    assert capfd.readouterr().err == "ours\n"


def test_other_warnings_are_shown_as_before() -> None:
    with pytest.warns(UserWarning, match="mine"):
        chatter.to_the_log()
        warnings.warn("mine", stacklevel=1)


def test_every_kind_is_recognised_by_its_own_content_alone() -> None:
    """No two kinds that Pillow tells apart are mixed up, however they are ordered."""
    for fmt, name in (
        ("PNG", "PNG"),
        ("GIF", "GIF"),
        ("BMP", "BMP"),
        ("WEBP", "WebP"),
        ("TIFF", "TIFF"),
        ("ICO", "ICO"),
    ):
        head = encode(Image.fromarray(RED_BLUE), fmt)[:512]
        assert [kind.name for kind in FORMATS if kind.begin and kind.begin.match(head)] == [name]
