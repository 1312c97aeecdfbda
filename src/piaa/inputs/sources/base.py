"""The one face of everything that images come from."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from piaa.errors import InputError
from piaa.inputs.formats import SUFFIXES, VIDEO_SUFFIXES, suffix_of
from piaa.inputs.images import MAX_PIXELS, printable
from piaa.inputs.item import Item

Folder = tuple[int, int]
"""Device and inode of a folder on disk."""


@dataclass(frozen=True)
class Settings:
    """How images are read, whatever they come from.

    Attributes:
        max_pixels: see `piaa.inputs.images.open_image`.
        frames: how many frames a video gives, evenly spaced; 0 leaves videos out.
        storage: options of fsspec file systems, such as `{"anon": True}` or `{"endpoint_url": ...}` for S3.
        entered: folders on disk that this call has entered: one is entered once, whatever names it.
        named: files on disk that this call was given by name; a folder that holds one leaves it out.
        patterns: tests of the patterns that this call has worked through, which say what they gave.
    """

    max_pixels: int = MAX_PIXELS
    frames: int = 0
    storage: Mapping[str, Any] = field(default_factory=dict)
    entered: set[Folder] = field(default_factory=set)
    named: set[tuple[int, int, str]] = field(default_factory=set)
    patterns: list[Callable[[Path], bool]] = field(default_factory=list)

    def wants(self, suffix: str) -> bool:
        """Whether a file of this ending, found in a folder, is taken."""
        return suffix in SUFFIXES or (self.frames > 0 and suffix in VIDEO_SUFFIXES)

    def gave(self, path: Path) -> bool:
        """Whether a folder, a pattern or a name before gave this file."""
        if any(matches(path) for matches in self.patterns):
            return True
        place = place_of(path)
        if place is None:
            return False
        walked = place[:2] in self.entered and not path.name.startswith(".") and self.wants(suffix_of(path.name))
        return walked or place in self.named

    def forget(self) -> None:
        """Begin anew."""
        self.entered.clear()
        self.named.clear()
        self.patterns.clear()

    def item(self, name: str, source: Any) -> Item:
        """One image."""
        return Item(name, source, max_pixels=self.max_pixels)

    def of_file(self, path: Path) -> Iterator[Item]:
        """What a file on disk gives: itself, or the frames of a video."""
        if self.frames > 0 and suffix_of(path) in VIDEO_SUFFIXES:
            from piaa.inputs.videos import frames_of

            yield from frames_of(path, self.frames, self.max_pixels)
        else:
            yield self.item(printable(path), path)


def inside(folder: str | os.PathLike[str]) -> str:
    """How the ids of files in a folder begin: `photos/`; empty for the current one."""
    name = printable(Path(folder)).replace(os.sep, "/")
    return "" if name == "." else name if name.endswith("/") else f"{name}/"


def place_of(path: Path) -> tuple[int, int, str] | None:
    """Device and inode of the folder that a file lies in, and its name; None where there is no such folder."""
    try:
        status = os.stat(path.parent)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, path.name


class Source(ABC):
    """A stream of images that is never listed whole. Each kind is one file here, and a line in `openers`.

    Iterating it gives `Item`s in an order that each kind states; again and again, unless what it reads cannot be read
    twice (standard input, an iterator).

    Args:
        settings: how images are read.
        label: what messages call it: the path or URL as it can be printed.

    Attributes:
        skipped: files left out because of their ending so far, by lower-case ending (`.txt`; empty for none). Filled
            while the source is iterated, and begun anew by each iteration.
    """

    def __init__(self, settings: Settings, label: str = "") -> None:
        self.settings, self.label = settings, label
        self.skipped: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Item]:
        """The images.

        Raises:
            InputError: when there is none, at the end.
        """
        self.skipped.clear()
        self.settings.forget()
        found = False
        for item in self.items():
            found = True
            yield item
        reason = "" if found else self.nothing()
        if reason:
            raise InputError(f"{self.label}: {reason}" if self.label else reason)

    @abstractmethod
    def items(self) -> Iterator[Item]:
        """The images of one iteration; fills `skipped`."""

    def below(self, name: str) -> list[str]:
        """What an image of this source may be called for short: its path below the folder, its name in the tar.

        Args:
            name: the image's id.

        Returns:
            None or several; none where the image is not of this source.
        """
        return [name[len(begin) :] for begin in self.begins() if name.startswith(begin) and len(name) > len(begin)]

    def begins(self) -> list[str]:
        """How the ids of its images begin, before what they are called for short."""
        return [f"{self.label}!"]

    def nothing(self) -> str:
        """What to say where there was no image, without the label; empty where that is no error."""
        return ""
