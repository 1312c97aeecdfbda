"""The kinds of image file that are read: their endings, how their content begins, and what must be installed."""

from __future__ import annotations

import importlib.util
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

HEAD = 512
"""Bytes of a file that are enough to recognise it."""


@dataclass(frozen=True)
class Format:
    """One kind of image file.

    Attributes:
        name: as it is called in messages.
        suffixes: endings, lower case.
        pillow: Pillow's names of it, in the order in which they are tried; none for what Pillow does not read.
        begin: what the content begins with; None where nothing sets it apart, so that the ending must say it.
        module: package that must be importable; empty where Pillow's own suffices.
        package: its name for pip, where that is another.
    """

    name: str
    suffixes: tuple[str, ...]
    pillow: tuple[str, ...]
    begin: re.Pattern[bytes] | None
    module: str = ""
    package: str = ""

    @property
    def installed(self) -> bool:
        """Whether it can be read here."""
        return not self.module or importlib.util.find_spec(self.module) is not None

    @property
    def remedy(self) -> str:
        """What to do where it cannot be read."""
        return f"pip install {self.package or self.module}"


def _begin(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


RAW = Format(
    "camera RAW",
    (
        ".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw",
        ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
    ),
    (),
    _begin(rb"II\*\0....CR\x02\0|IIR[OS]|MMOR|IIU\0|FUJIFILMCCD-RAW|\0MRM|FOVb|....ftypcrx "),
    "rawpy",
)  # fmt: skip
JPEG_XL = Format(
    "JPEG XL", (".jxl",), ("JXL",), _begin(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    "pillow_jxl", "pillow-jxl-plugin",
)  # fmt: skip
HEIF = Format(
    "HEIF", (".heic", ".heif", ".hif", ".heics", ".heifs"), ("HEIF",),
    _begin(rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)"), "pillow_heif", "pillow-heif",
)  # fmt: skip
TGA = Format("TGA", (".tga",), ("TGA",), None)

FORMATS = (
    RAW,  # before TIFF, which several of them claim to be
    Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), ("JPEG",), _begin(rb"\xff\xd8\xff")),
    Format("PNG", (".png", ".apng"), ("PNG",), _begin(rb"\x89PNG\r\n\x1a\n")),
    Format("WebP", (".webp",), ("WEBP",), _begin(rb"RIFF....WEBP")),
    Format("GIF", (".gif",), ("GIF",), _begin(rb"GIF8[79]a")),
    Format("BMP", (".bmp", ".dib"), ("BMP", "DIB"),
           _begin(rb"BM....\0\0\0\0|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0|[\x28\x34\x38\x40\x6c\x7c]\0\0\0.{8}\x01\0")),
    Format("TIFF", (".tif", ".tiff"), ("TIFF",), _begin(rb"II[*+]\0|MM\0[*+]|MM\*\0|II\0\*")),
    Format("AVIF", (".avif", ".avifs"), ("AVIF",), _begin(rb"....ftyp(avi[fs]|(mif1|msf1).{,64}avi[fs])")),
    HEIF,
    Format("JPEG 2000", (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"), ("JPEG2000",),
           _begin(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n")),
    Format("PNM", (".pbm", ".pgm", ".ppm", ".pnm", ".pfm"), ("PPM",), _begin(rb"P[1-6f]\s+(#[^\n]*\n\s*)*\d")),
    Format("ICO", (".ico",), ("ICO",), _begin(rb"\0\0\x01\0[^\0]\0")),
    JPEG_XL,
    TGA,
)  # fmt: skip
"""Every kind of image file, in the order in which a content is held against them."""

SUFFIXES = frozenset(suffix for kind in FORMATS if kind.installed for suffix in kind.suffixes)
"""Endings of files that are taken for images here and now: those whose decoder is installed."""

VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp", ".wmv", ".ogv",
})  # fmt: skip
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

_BY_SUFFIX = {suffix: kind for kind in FORMATS for suffix in kind.suffixes}
_LONGEST_LIST = 12


def suffix_of(name: str | os.PathLike[str]) -> str:
    """The ending of a path or URL, in lower case, with its dot; empty for none."""
    text = os.fspath(name)
    if "://" in text:
        text = urlsplit(text).path
    return os.path.splitext(text)[1].lower()


def is_tar(name: str | os.PathLike[str]) -> bool:
    """Whether the ending of a path or URL is a tar's."""
    text = os.fspath(name)
    return (urlsplit(text).path if "://" in text else text).lower().endswith(TAR_SUFFIXES)


def candidates(head: bytes, name: str = "") -> Iterator[Format]:
    """The kinds that a file can be, the likeliest first.

    Args:
        head: its first `HEAD` bytes.
        name: path or URL. Its ending decides for camera RAW, much of which is TIFF on the outside, and for TGA, whose
            content begins with nothing of its own.
    """
    named = _BY_SUFFIX.get(suffix_of(name))
    matching = [kind for kind in FORMATS if kind.begin is not None and kind.begin.match(head)]
    if named is RAW:
        matching = [kind for kind in matching if kind.name != "TIFF"] or [RAW]
    elif named is TGA:
        matching.append(TGA)
    yield from matching


def looks_like_image(head: bytes) -> bool:
    """Whether content says that this is an image; for files whose name has no ending."""
    return any(kind.installed for kind in candidates(head))


def skipped_text(skipped: Counter[str]) -> list[str]:
    """What was left out: a line for each ending that something can be done about, and one for all others.

    Args:
        skipped: files by lower-case ending with its dot; empty for none.

    Returns:
        Lines such as `skipped 2,000 .cr3: pip install rawpy`, the most frequent first, and last
        `skipped 3 files of other kinds: 2 .txt, 1 .json`.
    """
    ordered = sorted(skipped.items(), key=lambda pair: (-pair[1], pair[0]))
    lines = [f"skipped {count:,} {suffix}: {_remedy(suffix)}" for suffix, count in ordered if _remedy(suffix)]
    others = [(suffix or "without an ending", count) for suffix, count in ordered if not _remedy(suffix)]
    if others:
        total = sum(count for _, count in others)
        named = ", ".join(f"{count:,} {suffix}" for suffix, count in others[:_LONGEST_LIST])
        more = f" and {len(others) - _LONGEST_LIST} endings more" if len(others) > _LONGEST_LIST else ""
        lines.append(f"skipped {total:,} {'file' if total == 1 else 'files'} of other kinds: {named}{more}")
    return lines


def _remedy(suffix: str) -> str:
    kind = _BY_SUFFIX.get(suffix)
    if kind is not None:
        return "" if kind.installed else kind.remedy
    if suffix in VIDEO_SUFFIXES:
        installed = importlib.util.find_spec("av") is not None
        return "videos are read with --frames N" + ("" if installed else ", after pip install av")
    if suffix in (".tar", ".tgz"):
        return "a tar is read where it is named itself, such as 'shards/*.tar'"
    return ""
