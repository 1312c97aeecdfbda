"""What every format shares: the options of an export, what became of it, and text that is harmless anywhere."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from piaa.errors import ImageError, InputError
from piaa.exchange.tag_table import TagRow, TagTable
from piaa.jobs.formats.cells import cell, uncell

__all__ = [
    "Exported",
    "Exporter",
    "Options",
    "cell",
    "image_size",
    "keyword_of",
    "one_by_one",
    "plain",
    "uncell",
    "unique",
]

Maps = Callable[[Path, list[str]], dict[str, NDArray[np.float32]]]
"""Heat maps of an image file for some labels: rows x columns, 0..1."""

NAMINGS = ("darktable", "adobe")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Options:
    """How to export.

    Attributes:
        out: file or folder to write; None for formats that write beside the images.
        images: folder that relative paths of the table are taken from; None is the current folder.
        naming: of XMP sidecars: `darktable` (`a.jpg.xmp`, digiKam's too) or `adobe` (`a.xmp`).
        parent: first level of hierarchical keywords: `piaa|umbrella`; empty for none.
        replace: take away the keywords under `parent` that an earlier export gave and this one does not.
        backup: keep a copy of each image whose keywords are embedded.
        maps: gives heat maps, for formats that hold them.
    """

    out: Path | None = None
    images: Path | None = None
    naming: str = "darktable"
    parent: str = "piaa"
    replace: bool = False
    backup: bool = True
    maps: Maps | None = None

    def file(self, row: TagRow) -> Path:
        """Where the image of a row is: an absolute path, links not followed."""
        return Path(os.path.abspath((self.images or Path()) / row.path))

    def existing(self, row: TagRow) -> Path:
        """The same for an image that must be there.

        Raises:
            ImageError: it is not.
        """
        path = self.file(row)
        if not os.path.isfile(path):  # False for a name too long too
            raise ImageError(row.path, f"no such image file ({path}); --images says where relative paths begin")
        return path

    def target(self) -> Path:
        """`out`, for formats that need it.

        Raises:
            InputError: it was not given.
        """
        if self.out is None:
            raise InputError("this format writes one file or folder: say which with --out")
        return self.out


@dataclass
class Exported:
    """What became of an export.

    Attributes:
        written: images that are in the result.
        failed: (path, reason) of those that are not.
        places: the files or the folder written; for formats beside the images, their number alone is of use.
        notes: what the user should know.
    """

    written: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    places: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


Exporter = Callable[[TagTable, Options], Exported]


def one_by_one(table: TagTable, write: Callable[[TagRow], Path | None]) -> Exported:
    """Export image by image; one that cannot be written is counted and the next one goes on."""
    result = Exported()
    for row in table.rows:
        try:
            place = write(row)
        except (ImageError, InputError) as error:
            result.failed.append((row.path, getattr(error, "reason", str(error))))
        except OSError as error:
            result.failed.append((row.path, f"cannot be written: {error.strerror or error}"))
        else:
            result.written += 1
            if place is not None:
                result.places.append(place)
    return result


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as it is shown, upright; only its header is read.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        with Image.open(path) as picture:
            turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            return picture.size[::-1] if turned else picture.size
    except Exception as error:  # decoders fail in any way they like on hostile bytes
        raise ImageError(path, f"its size cannot be read: {error}") from error


def plain(text: str) -> str:
    """One line of printable text: line breaks become blanks, what XML cannot hold becomes U+FFFD."""
    return _UNPRINTABLE.sub("�", re.sub(r"[\r\n\t]+", " ", text)).strip()


def keyword_of(label: str) -> str:
    """A class name as a keyword; `|` separates levels there, so it becomes `/`."""
    return plain(label).replace("|", "/")


def unique(names: Iterable[str]) -> list[str]:
    """Each name once, in the order of its first appearance."""
    return list(dict.fromkeys(names))
